"""Coded pictures that no encoder of the installed libraries makes, written once from the arrays of `tests.pixels`.

Encoders: OpenJPH 0.26 (HTJ2K, in its default progression RPCL), libjpeg-turbo 3 (12 bits), liblj92 (lossless).
"""

from base64 import b85decode

HT_GREY = b85decode(  # HTJ2K, reversible, one component of 8 bits: the green of the screen
    "|4;u>04YEK0000m0000W00000000000000m0000W0000000000009R90sl|{2mk^A00092QUDA90ssL31q1{@0smY86Cg-XP*6}%P*6}%P*6}vNJ"
    "#%=02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001-T(prlfWj!#{fb!0KgK!6F?Gx%m9aU04n<c0yF^p00(pcz!gvhQ~_2*ph`^m01>^F08nJ"
    "23_1aczLfxekrc~-{t!XEl>opNv;l0u7MOtx0T85lgF@*H00sB}2YYb<gMPUHWE%U`lTsK{umlx|G3}WC00=j8Qe;xO0Lb)<N<ENN4MIru0A%-Q("
    "D}Fkz!zNrU9<soAgdC==%X&gLIOtu#z}>NtXv!h!2>Ws00eRn`#xc?_3dPGxLben9G)*EnNk5%pB)fH3^Iiy5Cs6>O9&o>!SfzT4QA&XARG>f#iG"
    "ISJX+RuD;R*!>_S}&X0j*%Bmy_p0oZXNNdN><HcH_jfdMK2_&xwdQ0<g0*p`o!bRFb3(E-3ON`PL60JlKr7;~zzp_xcF3(ADaol<8H=mZb|C?Ws="
    "00965001EUpZq`oK%7@-0=TGghg0|qt4dl$nF@|nd=x28Q<$8@<T(xi3xEQ70+3%UI#JZN8w{C6yyjc$z@idb-Ga?)xSjqwXMg|z1Ry>85P<jWLI"
    "dBhgb#ky&u9W?ECh@}13$DV85o2Iy!cuIM6tES(EbOI+yI{d07VvT&gH`302BaF1QZZh0sq+"
)
HT_RGB = b85decode(  # HTJ2K, reversible, with component transform: the screen
    "|4;u>053oQ0000m0000W00000000000000m0000W000000000000RdB0S5sA2LS>9Pyh%30ssI21OHM03;+TE0RaUB1V91*TmTawP*_-4SXfwCSX"
    "fwCSWr+<|6~9c00B>MWo}APNFY{aav(4+GBz$VF8`1K3IG5A00ejd0soW069B)*075hXz!883GXTI7008~~0dxSs319?}0#MQbhjakUGBW`50LOF"
    "yzzJXkumVu~07rBHmH+{C0LlP|bO68!U<A+tQ0M>$bO5dG0ReOX?*RvN0Kf{U0aXAhfN+k`O85W~y_Eo@S!$v40SUjA0F-?|4d?;My_EpK3Wxz!0"
    "4hKSY9#;&lQjUJ!KeZ703g1V0PPEs@Bk2#H2}a0m;qA&DnRmk()0ijlQjSx#zN=-5WbZFN3pN-01%Tk0Kf}Y09w!j(Z@9x5r5xUOrHaw0005r+(1"
    "BonE+Uc6H4jNGzVg=)|l=9L!MRV89KQD(ynmS@Lvn5{zE6u&T)CT0Kf}I09vpD(jU8Na=<aiMNS$Z?Epc)mjE58xX#vtlB3Xm*3JR&0T{{%GnW88"
    "5LEK9I!Y7!ApR?{0E2$F0Kf}M09sH2(D61lMS(*EDnR}rlJk(jzL)?_oIFKGiBXUM5P$)TC?Ha|03A5xNb-vSMDQV60D*b80Kf~efEQr^EzsG7AQ"
    "+Y02Mh<E&^&;5p22YI7mGoV0RW%{0}#kT>^=d8!`HNGR|{^bM?im(VsZiGbpeSM1Q>%4a>z$g!R&kk!+>x&Bo>PX$9xM~)~#5?27h7+?pl#|K=^b"
    "5H`W0ZBN{}5P4Gbl1pxd$07X#iMupLmQyj4<syERAzzd>)7fS#w@Bxx6OH9TymF*B=;Sv*-6hNRF{6B(Q3hq()@=7?WH{Jk2=7<2O3F8l4gC${b!"
    "SFL7Hb4o`nEXE^?IwXuQYZi<0yo|O38HLJMGjJc6zKvK5^o@Z`9G+V{B8wxeI6a;H{Jli3!{J+MF1_Jv#<ms6Hg*-hsm*Kkhl<oR)PTVKY%vI<`v"
    "wd;Cui9Vt)XS-;gQ@l#I2N(}NL!08kVp3qb(*KLFq`Q$V2rkc2ng06mJYDAGV;5(OX*13(HtfP)I)Tpa)aH{1Zg7o<QJe*jy6&*M1H;wWwG%5g2z"
    "VF!A;l&1m#fQ11700;me0002#pZq`oXBFB2t|}a1)cyjQB`qS%g)VA*Q<UX7PE(ZSIZgr#fP#1edI)6@A&|KcVo$!c4lF96)h*b(hTHl6I%j|Y00"
    "4vszhV#`{fIz&_7H*Z+z@;A0GZ1Gc|H4pV*mj6o>&6#Km$1F{s)lU04Lx85k;E-3lIX}AxKamSXTkS7fS$LOaW{FHEN%?9dpmjD{@NZL_vl8{s;I"
    "nGb1U=a~#Jg<s8K3Cm~2x0Yz=Q!C<|i;U$ECLP5#?I%&WLMj-+3-V^``#xOnS04NC<f(CzRTLD`e3W@Um2aw<%00a~ePzV$tPyiGFQvtviQvh8g0"
    "cwDskH_;VdWd92d7;oOHW)-E0VV#Q{{)ofI8dcIPGgwmIZgx%fdX{_g+N6GiZ~t!MD9uc{yJ&E0Vllh1dKuh-gGDc5sYAa_5fG`6$<eA{s)lY9s*"
    "QQ02B~V2oxYu0sq+"
)
HT_LOSSY = b85decode(  # HTJ2K, irreversible: the screen within 3 levels
    "|4;u>053oQ0000m0000W00000000000000m0000W000000000000RdB0S5sA2LS>9Pyh%30ssI2BL7kV3;+TE0RaUB1V8})TmT~?cNli+cItM#Zv"
    "bxqZsKQ5XG~{gPy<i{P)1kMSJGEu|6~9c00B>MWo}APNFY{aav(4+GBz$VF8`1K3IG5A00n>m0soW00XWI{Y5?Li0Kfq-@AUxzbO68sFkGAgfph@"
    "C0W<&;zyT;a`~rt`02OHZ0D?3C?Er^#0Kfq(029CgDE9z|bO6A7{sIAX0AK-!bO68sEC3V00Whus2Xp`<eD?x@bO06p0ta*ezyh`a6|exTdNYhMU"
    "oQLr0t0_G09Y5q#sSd906>AimH>3Jl8hb3004o#mH@y4t^gHK0IFZA+-r^g0fBop0Fwzp7YYDizLfyQhTf3z06}{-0KfvS02Ocms|*S*B}IfHfqO"
    "LonZi%1di(){dbI%03;;_v_yEDZl>op6xd0aY09t@48=I!_2tq8*Ug2-4RSXIOfank;hP{A5E0_R|$(54x0;~XBPj(W_liur1VqY|!0LP=W5H<)i"
    "ngBYboCiD=zY~H$M$rH{1?;H~xB$Qfs{j_v09t@fMO={-hNB)wfpRqh;Q|Si5N5Xk2Q)AtpkV;<#zW;*`7VJ#`2(XKKoB#S01vMvaabAS7}1x85c"
    "mNYfFOsL0Kf&U02ZtOT0l_{-Wwx>1OYM30EXiL$o6mmfJnIjH!3FQ#!bRtARvJ-6aYO}fFLTE0AZz~{RA0BVHiR10D6!RDwhDj7jpn!i2z$*6iKf"
    "}AkbW!L>eCJ4Fm?@0-+PZKmpNPN+3Y%xp6@t5J8y1#=*=yfO``FzZ?M2DoEs%006SG0TEs!f)oSD1_VT%Ad_eKW6B&6B0o{uST<#naq>+FaRAa_6"
    "2US-bD@(V)PeNzcmQvhV*nmw6);070FO(!ZwS*>0TBcQkS#FIVFn>#fIdKSWG;@G1hU@Il#E{hz!y~jT@(Rr0Ht7iS1l4B3xd8fDg=Y1xdI4~q~r"
    "nwLQVcZ1WW?^fl@?`Nf`8z8n6Kxh*QP|(>ET%0ReW11hNL<f;a&Fzk%8vlc}CTFAwlt0F{CdL^fhL0-1yY{(lE1zwCo0008(icisTN7gqpX3;}Ea"
    "5K1Q}AXs3PLV<^cFsS?ikU?SKBL#XRLkP4#07-tZ%+anW<dgsavakXA3f>W%L<|TfVnV7CG9VXp3JVb7KY*tTI64q-2-92uhG78?BoG+VF&UKmKY"
    "#}&N6RP?<TzXaz!$GT7q`F`$c__+KMxqhVaBf*o<{TtK|&cMiepj{AP9p(NjwgRN(JFC7#ND~bTDWvxKe>YVV-Lkmd3FJ0RW!B0So}Y`s#D37%Dp"
    "Zq=zK!2cx8iB<PUhPLdpyJ`tq&La+kFCx;xe9zqC<I`*MQ2LJ#BOmYH(s`5B%$Xzm^L@b?{l%|#w^fZIAqI1*S^pCQ@a`8|U4u?Y`kytDm4Gj+u{"
    "yJxXwXJJf&JcqT6zPaSQ>GySPMCrLI(l170ST0|i5LI{I&ia;U;q@!&H@PFBMzX3p#BGt+*g1EXRP!9o|DiaNKyg77oxxyV*p!VGt460Gpr)Lr4R"
    "!^NI4PZ2nPT$<As1I`xHj9=n@bLGi}4LG?FF=z!Ny1{|6(Ek{pwyLy<a2a!!d3BuPmrV!2|v0R}*HN~tf|Qx4*aqHtg$G}1+Cv|&LIg#LPGz_Wrs"
    "2tcP!S!WD>Ab?JsSOQ7xxd9DBB#5y>?il<22aw!+0MA+INI?MfKs^LP0l*idKo?~ITVM>6Wj75LgK?&DD4ItS1!71<01yOZ41ys^074KDBq)Yq2s"
    "B6lwkQGwAjZG`0zwi}NYZHOA;~(3bWV~Sls*xp_(Hk?k_rDJbFpMh2NMhi1X9RLnu!k~1ZW^a!2JF>>%araP14R$fB;jc3piu(2nuA-xB&!N7e!S"
    ">0qgz;h}?VvRG<X(o`i%D4@3jg0sq+"
)
HT_16 = b85decode(  # HTJ2K, reversible, one component of 16 bits: `many_greys`
    "|4;u>04YEK0000m0000W00000000000000m0000W0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmwh="
    "~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00002f&c;klfVEf0Kf9n@&Q6L0KfnezyK4#01|+y0S9ydn1_J?!ZZNg0Ect{zyK9c00n#i0akj"
    "9F2VN@Kz)?}He;)tBAhNU4FIJ9c(wo@L=jG{{6S%Vl>op17Q_Gnb+7;htb@WP?R_Ee>$&y^0S|Zpm&_!97Z8%V07GD%M|itY3;of5e)OLo{YTdd0"
    "n>g!pFW>R1dJF2#~1MC3hLx@0T6%*ng9oQ!cAUyfJa!w*FLj=3I0qXm`j!bzyKFX003V1003H`?mmCt{Oj(0e}CNl{mq{r-0;jP(4|f=elP%Bbmb"
    "5a<HB<R{_!7u#BcNu|55M!0RMPD_{V?nkN-h`{0IMdKlsOg@Q?pNfBXmka3B8RA3nf8`bPg~Kl(@iXg~gkdHE0X`VaH^5A*sR^ZF0-`VsT`5A*sD"
    "^ZF0-`VaH^5A*u;06>5MF3tb}O&|ai(<`Sq9QmB!bLMk_&D;V0et-M>??3;3=l3`#@j>`e0RB4wzyL0e00Dh(006YWB>7MJ?>|V=pZuSHNb>!6=D"
    "|)=;2xY{T5_Kssm2$lLUjTEVZZ+OzyE#T|9<a(|9ijxec%6n?|=V$zyE#zfB%2~fB%2+AN>8p|9#*8e(!((d%ypE-~WE^fB%2~fB%2~fB%2~fB%2"
    "~e}DUX>dBKQPo6w^^5n^rCr_R{dGh4RlP6D}JbC*6RB!+gfP3~r0q@xe2ft(>9{rGjd-g&B?63eBO-3*q_n5$Mti}W1vltJ4%wRqHIKZ@^01|sN8"
    "rEY0@7at8zh*EV{g}Xe_G1C;zXbn(-+%vq|5v|&P)1NGNAW^^0RPz"
)
JPEG_12 = b85decode(  # JPEG Extended of 12 bits at the finest quantisation: `plane`
    "|JeWF01!$>Nk#wx0RR9200961|JwjV009930RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40RaI40s"
    "p}O3k(1t05Aao5di<h02KfM0RR9100000000000000C4*$de8xQ~i1Oos70000000000000UACpSe^V{`x700;pA002J#iPsWfaE#gvMHd|jKmtq"
    "-5t~7XqT`_`07-$uGiWgsTy!M>2{1TDZ3ZHXj)b5ACI<-3pu|ye(3Aiqz~LFR7>X`B6w~;V1B7PKVko%iN&pgIaE#gvMHd|jKmtq-5t~7XqT`_`0"
    "7-$uGiWgsTy!M>2{1TDZ3ZHXj)b5ACI<-3pu|ye(59cnm>eTEgAql?LQnvc1B7PKVko%iN&pgIaE#gvMHd|jKmtq-5t~7XqT`_`07-$uGiWgsTy!"
    "M>2{1TDZ3ZHXj)gS-B*5Vrv>1vmIud{cm>eTEgAql?LQnvc1B7PKVko%iN&pgIaE#gvMHd|jKmtq-5t~7XqT`_`07-$uGiWgsTy!u0*#"
)
JPEG_LOSSLESS_12 = b85decode(  # JPEG Lossless, first-order prediction, of 12 bits: `plane`
    "|JeV;02TlN0RaF20000000000000051`Pkh01FHNAOJ7{01*KH+5iXv000I60MGvbQBhG*QBhG*QBhG*QBhG*QBhG*QBhG*QBhG*QBhG*QBhG*QB"
    "hG*QBhG*QBhH3%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*lGRrKo%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9csOtQ-?vdb*"
    "8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|ZlPt2!EV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*9WXmkF%Pg|XEV9civdb*8%Pg|XEV9civ"
    "db*8%Pg|XEV9ci*)q#4vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XHcYb1EV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8&66y$%Pg"
    "|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civt-LGvdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEZH*4EV9civdb*8%Pg|XEV9civdb*8"
    "%Pg|XEV9civdb*8%Qj51%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdxn$vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEVE?GEV"
    "9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%PiS4%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdcD1vdb*8%Pg|XEV9civdb*8%Pg|"
    "XEV9civdb*8%Pg|XEV9j$EV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg~G%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*lG"
    "RrKo%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9csOtQ-?vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|ZlPt2!EV9civdb*8%Pg|XEV9"
    "civdb*8%Pg|XEV9civdb*9WXmkF%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9ci*)q#4vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|X"
    "HcYb1EV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8&66y$%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civt-LGvdb*8%Pg|XEV9civd"
    "b*8%Pg|XEV9civdb*8%Pg|XEZH*4EV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Qj51%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9c"
    "ivdxn$vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEVE?GEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%PiS4%Pg|XEV9civdb*8%"
    "Pg|XEV9civdb*8%Pg|XEV9civdcD1vdb*8%Pg|XEV9civdb*8%Pg|XEV9civdb*8%Pg|XEV9V|*#"
)

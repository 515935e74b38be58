"""Clips in, one row of class logits out: a frame encoder, and a pooling over the frames of a clip.

Two poolings: gated attention (Ilse et al., "Attention-based deep multiple instance learning", ICML 2018), which does
not care for the order of frames, and a recurrent one (two-way GRU, Cho et al., EMNLP 2014), which does. Frames are a
clip's own, in order; a still is a clip of one frame. Clips of different lengths share a batch: rows behind a clip's
length are never looked at.

What this is not: the service's rule that makes a clip's probability of its frames' (`dicom_ai.finding`).
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from models.frame_classifier import FrameClassifier


class AttentionPool(nn.Module):
    """Weighted mean over frames; the weights come from the frames: (N, T, D) -> (N, D)."""

    def __init__(self, width: int, hidden: int = 64) -> None:
        """`hidden` numbers decide on a frame's weight."""
        super().__init__()
        self.content, self.gate = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.weight = nn.Linear(hidden, 1, bias=False)  # a bias would vanish in the softmax
        self.width = width

    def shares(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """How much of the clip's answer comes from each frame: (N, T), sums to 1, 0 behind a clip's length."""
        scores = self.weight(self.content(frames).tanh() * self.gate(frames).sigmoid()).squeeze(2)
        behind = torch.arange(frames.shape[1], device=frames.device) >= lengths.to(frames.device)[:, None]
        shares: torch.Tensor = scores.masked_fill(behind, -torch.inf).softmax(dim=1)
        return shares

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The clip's features (N, D) of its frames' (N, T, D); `lengths` int64 (N,), 1..T."""
        shares = self.shares(frames, lengths)
        # what lies behind a clip may be anything, even not finite
        return torch.where(shares[..., None] > 0, frames * shares[..., None], 0).sum(dim=1)


class RecurrentPool(nn.Module):
    """Last states of a two-way GRU over the frames: (N, T, D) -> (N, 2 * hidden)."""

    def __init__(self, width: int, hidden: int = 64) -> None:
        """`hidden` numbers remember what was seen, in each direction."""
        super().__init__()
        self.memory = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.width = 2 * hidden

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The clip's features (N, 2 * hidden) of its frames' (N, T, D); `lengths` int64 (N,), 1..T."""
        packed = pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
        # cuDNN gives no gradient in evaluation mode, and the map needs one
        with torch.backends.cudnn.flags(enabled=self.training):
            _, last = self.memory(packed)
        return torch.cat([last[0], last[1]], dim=1)


class ClipClassifier(nn.Module):
    """A frame encoder, a pooling over frames, a linear head of K classes; no assessability output.

    Attributes:
        n_classes: K.
    """

    map_layer = "features"
    map_kind = "grad_cam"

    def __init__(
        self, encoder: FrameClassifier, *, n_classes: int, is_recurrent: bool, hidden: int = 64, dropout: float = 0.2
    ) -> None:
        """Take the encoder's features and pooling; its head is left behind.

        Args:
            encoder: random, or trained on frames.
            n_classes: K.
            is_recurrent: GRU instead of attention.
            hidden: of the pooling over frames.
            dropout: share of a clip's features switched off in training, 0..1.
        """
        super().__init__()
        self.features, self.pooling = encoder.features, encoder.pooling
        width = encoder.head.in_features
        self.over_frames = (RecurrentPool if is_recurrent else AttentionPool)(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.n_classes = n_classes
        self.head = nn.Linear(self.over_frames.width, n_classes)

    def forward(self, clips: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (N, K) of clips (N, T, channels, S, S); `lengths` int64 (N,), 1..T, None when all are T long."""
        n, t = clips.shape[:2]
        lengths = torch.full((n,), t) if lengths is None else lengths
        return self.logits_of(self.features_of(clips.flatten(0, 1)), lengths)

    def features_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Feature maps (N * T, C, m, m) of frames (N * T, channels, S, S); frame by frame, in any portions."""
        features: torch.Tensor = self.features(frames)
        return features

    def logits_of(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of the frames' feature maps (N * T, C, m, m), clip after clip."""
        pooled = self.pooling(features).unflatten(0, (len(lengths), -1))
        logits: torch.Tensor = self.head(self.dropout(self.over_frames(pooled, lengths)))
        return logits

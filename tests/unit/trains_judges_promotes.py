"""A program that trains, judges and promotes a model of a few drawn pictures in the folder it is told."""

import sys
from pathlib import Path

from train.__main__ import app

# isort: split

from tests.predicted import curves, predictions, run_folder

if __name__ == "__main__":
    out = Path(sys.argv[1])
    run, key, judged = str(out / "run"), str(out / "keys" / "ana.key"), str(out / "judged")
    other = run_folder(out / "other", predictions(patients=16, clips=1), curves=curves([0.9, 0.5]))  # has every plot
    small = ("--images", "8", "--epochs", "1", "--size", "32", "--workers", "1", "--loaders", "1", "--device", "cpu")
    signed = ("--key", key, "--who", "Ana", "--evidence", f"{judged}/report.json")
    for words in (
        ("fit", "--recipe", "smoke", "--out", run, "--cache", str(out / "drawn"), "--model", *small),
        ("evaluate", run, "--out", judged, "--resamples", "100"),
        ("evaluate", run, str(other), "--out", str(out / "beside"), "--resamples", "100"),
        ("keys", "make", "--out", str(out / "keys"), "--name", "ana"),
        ("promote", f"{run}/model", "--to", str(out / "promoted"), *signed),
    ):
        if code := app(words, standalone_mode=False):
            sys.exit(f"{words[0]} ended with {code}")

"""Smoke tests: an image is started as it will be used, and must do its job before any comparison counts."""

from hullmark.smoke.load import Declared, load_declared, read_declared
from hullmark.smoke.report import SmokeReport, describe_test, encode_report, read_report, render_report
from hullmark.smoke.run import ENGINES, EngineName, Target, Way, find_way, smoke_test

__all__ = [
    "ENGINES",
    "Declared",
    "EngineName",
    "SmokeReport",
    "Target",
    "Way",
    "describe_test",
    "encode_report",
    "find_way",
    "load_declared",
    "read_declared",
    "read_report",
    "render_report",
    "smoke_test",
]

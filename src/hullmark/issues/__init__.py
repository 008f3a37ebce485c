"""The security issue of each image: what it must say, and what must be done so that it says it."""

from __future__ import annotations

from hullmark.issues.facts import Block, ImageFacts, Proof, gather
from hullmark.issues.plan import Action, Edit, Leave, Open, Posted, Rules, State, Why, label_of, plan

__all__ = [
    "Action",
    "Block",
    "Edit",
    "ImageFacts",
    "Leave",
    "Open",
    "Posted",
    "Proof",
    "Rules",
    "State",
    "Why",
    "gather",
    "label_of",
    "plan",
]

"""Rounds: in each of them every implementation does the work once, in an order drawn anew."""
import random
import sys

import figures
from implementations import LIMIT
from measure import measure
from processes import Failed, Skipped


def run(work, implementations, plan, draw=random.Random(), report=None, counts=None):
    """Measures a work; a dictionary as it stands in the JSON file."""
    rounds = {one.name: [None] * plan.rounds for one in implementations}
    refused = {}
    for number in range(plan.rounds):
        order = [one for one in implementations if one.name not in refused]
        draw.shuffle(order)
        for one in order:
            if report:
                report(f"{work.name}: round {number + 1} of {plan.rounds}, {one.name}")
            try:
                rounds[one.name][number] = measure(work, one, plan)
            except Skipped as reason:
                refused[one.name] = ("skipped", str(reason))
            except Failed as reason:
                refused[one.name] = ("failed", str(reason))
                print(f"{work.name}: {one.name} failed: {reason}", file=sys.stderr, flush=True)
        # A size is the same each time.
        if work.kind == "size":
            break
    counted = {}
    for one in implementations:
        if counts and one.name not in refused:
            counted[one.name] = counts(work, one, plan)
    return summarize(work, implementations, rounds, refused, counted)


def summarize(work, implementations, rounds, refused, counted=None):
    rows = []
    for one in implementations:
        row = {"name": one.name, "ours": one.is_ours, "status": "measured"}
        done = [figure for figure in rounds[one.name] if figure]
        if one.name in refused:
            row["status"], row["reason"] = refused[one.name]
        elif not done:
            continue
        else:
            row["figures"] = {key: figures.summary([each[key] for each in done if key in each]) for key in done[0]}
            row["samples"] = [each and each.get(work.figure) for each in rounds[one.name]]
            if work.figure not in row["figures"]:
                row["status"], row["reason"] = "failed", f"tells no {work.figure}"
            elif row["figures"].get("early", {}).get("max"):
                row["warning"] = f"{row['figures']['early']['max']} timers fired early"
            if counted and counted.get(one.name):
                row["counts"] = counted[one.name]
        rows.append(row)
    measured = [row for row in rows if row["status"] == "measured"]
    reference = choose_reference(work, measured)
    for row in measured:
        row["ratios"] = {
            other["name"]: figures.ratio(row["samples"], other["samples"]) for other in measured if other is not row
        }
        if row["name"] == reference:
            row["ratio"] = figures.summary([1.0])
        elif reference:
            row["ratio"] = row["ratios"][reference]
    return {
        "name": work.name, "title": work.title, "group": work.group, "figure": work.figure, "reference": reference,
        "rounds": max((len([s for s in row["samples"] if s is not None]) for row in measured), default=0),
        "options": list(map(str, work.load)), "rows": rows,
    }


def choose_reference(work, rows):
    """The limit where it did the work; else the best of the others, and ours only if we are alone."""
    for row in rows:
        if row["name"] == LIMIT and _median(work, row) > 0:
            return LIMIT
    ranked = sorted((row for row in rows if _median(work, row) > 0), key=lambda row: (row["ours"], _median(work, row)))
    return ranked[0]["name"] if ranked else None


def _median(work, row):
    return row["figures"][work.figure]["median"]

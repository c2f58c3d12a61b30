"""The results as a table for people and as JSON."""
from lib.plan import ROWS


def value(result, unit):
    return result["mib_per_second"] if unit == "MiB/s" else result["per_second"]


def number(amount):
    return f"{amount:.0f}" if amount >= 10 else f"{amount:.1f}"


def pair(results, row, unit, processes, form):
    texts = [form(value(results[row, count], unit)) if (row, count) in results else "-"
             for count in processes]
    return "/".join(texts)


def ratio_pair(results, base, row, unit, processes):
    texts = []
    for count in processes:
        one, other = results.get((row, count)), base.get((row, count))
        if not one or not other:
            texts.append("-")
            continue
        texts.append(f"{value(one, unit) / max(value(other, unit), 1e-9):.2f}")
    return "/".join(texts)


def print_table(measured):
    """`measured` maps a target's name to its results; the last target is compared with the rest."""
    names = list(measured)
    subject = names[-1]
    lines = [["work (1/n processes)"] + names + [f"{subject} : {name}" for name in names[:-1]]]
    for row, unit, processes in ROWS:
        cells = [f"{row}, {unit} ({processes[0]}/{processes[1]})"]
        cells += [pair(measured[name], row, unit, processes, number) for name in names]
        cells += [ratio_pair(measured[subject], measured[name], row, unit, processes)
                  for name in names[:-1]]
        lines.append(cells)
    show(lines)


def show(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for index, line in enumerate(lines):
        first = line[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("  ".join([first] + rest))
        if index == 0:
            print("  ".join("-" * width for width in widths))


def print_counters(measured):
    """Counters per operation, for targets that have them."""
    for name, results in measured.items():
        keys = sorted({key for result in results.values() for key in result.get("counters", {})})
        if not keys:
            continue
        print(f"\n{name}: counted per operation")
        lines = [["work, processes"] + keys]
        for (row, processes), result in results.items():
            counters = result.get("counters", {})
            lines.append([f"{row}, {processes}"] + [f"{counters.get(key, 0):.2f}" for key in keys])
        show(lines)


def print_stages(stages):
    """How long commands took, by stage, over the whole run."""
    if not stages:
        return
    print("\nlatency of a command by stage, over the whole run")
    lines = [["stage", "commands", "p50 us", "p99 us"]]
    for stage, values in stages.items():
        lines.append([stage] + [str(values[key]) for key in ("count", "p50_us", "p99_us")])
    show(lines)


def as_json(measured):
    return {name: [{"row": row, "processes": processes, **result}
                   for (row, processes), result in results.items()]
            for name, results in measured.items()}

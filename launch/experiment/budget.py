"""Node-hours of an experiment: those that were used, the most that cells can take, and the cap on their sum."""
from report.command import refuse


def node_hours(cell, result):
    """Node-hours of one attempt that is over."""
    return cell.nodes * (result.get("elapsed_s") or 0) / 3600


def spent(folder, cells):
    """Node-hours of all attempts so far."""
    results = [(cell, attempt.read("result")) for cell in cells for attempt in folder.attempts(cell)]
    return sum(node_hours(cell, result) for cell, result in results if result)


def most(plan, cells):
    """Most node-hours that these cells can take, each until its time limit."""
    return sum(cell.nodes * plan.limit(cell) for cell in cells) / 3600


def clock(seconds):
    """H:MM:SS, as Slurm and our own options read it."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def check_cap(plan, used, remaining):
    """Refuses what may cost more than the experiment is allowed to, with the sum."""
    worst, limits = most(plan, remaining), [plan.limit(cell) for cell in remaining]
    if used + worst <= plan.node_hours * (1 + 1e-9):
        return
    told = f"{used:.4g} used so far and " if used else ""
    each = f"for at most {clock(limits[0])} each" if len(set(limits)) == 1 else f"for {clock(min(limits))} to {clock(max(limits))} each"
    refuse(f"{plan.path}: node_hours: {plan.node_hours:.6g}: legal: at least {used + worst:.6g}: {told}{len(remaining)} cells on "
           f"{sum(cell.nodes for cell in remaining)} nodes in all {each}")

# SPDX-License-Identifier: Apache-2.0
"""The picture of scale.py: the time of a scrape over the number of processes."""

import matplotlib
from matplotlib.figure import Figure

# Colours of Okabe and Ito, told apart by the colour-blind; lines and markers tell, too. The last
# is where the label is, in points above the end of the line.
LOOKS = {
    "process-exporter": ("#D55E00", "^-", 0),
    "psutil": ("#009E73", "D-", 0),
    "pidinfod, all groups": ("#0072B2", "s--", 7),
    "pidinfod": ("#0072B2", "o-", -7),
}
# The same figures make the same file, and its text stays text.
STABLE = {"svg.hashsalt": "scale", "svg.fonttype": "none", "font.size": 11}
LICENCE = {"Date": None, "Creator": None, "Rights": "SPDX-License-Identifier: Apache-2.0"}


def draw(found, path):
    """Of what is in scale.json: by contestant a row for each number of processes, and one for the
    last of them with threads."""
    with matplotlib.rc_context(STABLE):
        figure = Figure(figsize=(8, 4.5), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log", xlabel="processes", ylabel="time of a scrape, ms")
        for who, (colour, form, above) in LOOKS.items():
            *rows, threaded = [row for row in found["rows"] if row["who"] == who]
            x, y = [row["processes"] for row in rows], [row["ms"] for row in rows]
            look = {"color": colour, "clip_on": False}
            axes.plot(x, y, form, **look, linewidth=2)
            axes.plot(threaded["processes"], threaded["ms"], form[0], **look, mfc="white")
            # Not as a formula, which in another font than it was set for falls apart.
            axes.annotate(
                f"{who}: n^{found['exponents'][who]:.2f}", (x[-1], y[-1]), (12, above),
                textcoords="offset points", va="center", color=colour, annotation_clip=False,
            )  # fmt: skip
        label = f"with {threaded['threads']:,} threads"
        axes.plot([], [], "o", color="0.4", mfc="white", label=label)
        axes.set_xlim(left=100)
        axes.legend(framealpha=1, edgecolor="white")
        for of in (axes.xaxis, axes.yaxis):
            of.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        figure.savefig(path, metadata=LICENCE)

"""Curves over the noise level, as figures 4, 6 and 10 of SR2.

.. code-block:: bash

    python tools/analysis_tools/plot_noise.py RESULTS.csv noise.png

Each line of RESULTS.csv is one evaluation of one training. Its columns:

- ``network``: the SR network, e.g. ``FSRCNN``.
- ``form``: how the classifier is connected: ``sr`` (not at all), ``seq`` (to
  the SR image), ``sr2`` (to the shared layers), or any other name, such as
  ``sr2, 4 shared``.
- ``scale``: factor between LR and HR.
- ``noise``: variance of the Gaussian noise on the LR image, RGB in [0, 1].
- ``seed``: of the training.
- ``SSIM``: of the SR image; empty if there is none.
- ``accuracy``: of the classifier in %; empty if there is none.

A curve is the mean over seeds, its band one standard deviation either way. The
means of all settings are printed as a table, in the manner of table 1. Needs
pandas.
"""

import argparse

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import pandas as pd  # noqa: E402

METRICS = ('SSIM', 'accuracy')
SETTING = ['network', 'form', 'scale', 'noise']


def read_results(path: str) -> pd.DataFrame:
    """Read RESULTS.csv; raise ValueError if it lacks columns or values."""
    results = pd.read_csv(path, skipinitialspace=True)
    missing = [
        column
        for column in [*SETTING, 'seed', *METRICS]
        if column not in results
    ]
    if missing:
        raise ValueError(
            f'{path} has no column {", ".join(missing)}, only '
            f'{", ".join(results)}: see the head of plot_noise.py.'
        )
    repeated = results[results.duplicated([*SETTING, 'seed'])]
    if len(repeated):
        raise ValueError(
            f'{path} has two lines of {repeated.iloc[0].to_dict()}: keep one, '
            'or give another seed.'
        )
    return results


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation (of one seed: 0) of each setting."""
    grouped = results.groupby(SETTING)[list(METRICS)]
    mean, std = grouped.mean(), grouped.std()
    return pd.concat(
        dict(mean=mean, std=std.fillna(0).where(mean.notna())), axis=1
    ).swaplevel(axis=1)


def draw(summary: pd.DataFrame) -> plt.Figure:
    """A row of axes for each metric, a column for each scale."""
    metrics = [name for name in METRICS if summary[name].notna().any().any()]
    scales = summary.index.unique('scale')
    figure, axes = plt.subplots(
        len(metrics),
        len(scales),
        figsize=(4.5 * len(scales), 3.2 * len(metrics)),
        sharex=True,
        squeeze=False,
        layout='constrained',
    )
    curves = list(summary.groupby(['network', 'form']).groups)
    for row, metric in zip(axes, metrics):
        for ax, scale in zip(row, scales):
            table = summary[metric].xs(scale, level='scale').dropna()
            for key, curve in table.groupby(['network', 'form']):
                color = f'C{curves.index(key)}'
                curve = curve.droplevel(['network', 'form'])
                ax.plot(
                    curve.index,
                    curve['mean'],
                    marker='.',
                    color=color,
                    label=' '.join(key),
                )
                ax.fill_between(
                    curve.index,
                    curve['mean'] - curve['std'],
                    curve['mean'] + curve['std'],
                    color=color,
                    alpha=0.2,
                    linewidth=0,
                )
            ax.set(title=f'x{scale}', xlabel='noise variance', ylabel=metric)
            ax.grid(alpha=0.3)
            ax.legend(fontsize=8)
    _set_noise_axis(axes[0, 0], summary.index.unique('noise'))
    return figure


def _set_noise_axis(ax: plt.Axes, noise: pd.Index) -> None:
    """Logarithmic, but for 0, which has its place left of all others."""
    positive = noise[noise > 0]
    if len(positive):
        ax.set_xscale('symlog', linthresh=positive.min(), linscale=0.5)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Draw SSIM and accuracy over the noise level.'
    )
    parser.add_argument('results', help='CSV file, see the head of this file')
    parser.add_argument('out', help='image file to write, .png, .pdf ...')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    summary = summarize(read_results(args.results))
    print(summary.to_string(float_format='%.3f', na_rep='-'))
    draw(summary).savefig(args.out, dpi=150)


if __name__ == '__main__':
    main()

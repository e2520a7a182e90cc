"""The command line: arguments in, analysis out.

Exit codes: 0 done; 1 an error of the program (a traceback is shown); 2 input or options that cannot be used (one line on
stderr that names the culprit and the remedy); 130 interrupted.
"""

from __future__ import annotations

import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from .tables.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["app", "main"]

app = typer.Typer(
    name="bayesgmm",
    help="Gaussian mixtures fitted twice, by EM and by the full posterior, with the answers side by side.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Structure(StrEnum):
    """Covariance types, for the options that take one."""

    full = "full"
    tied = "tied"
    diag = "diag"
    spherical = "spherical"


Data = Annotated[str, typer.Argument(metavar="DATA", help="A CSV or Parquet file, or the name of a bundled set.")]
Components = Annotated[str, typer.Option("-k", "--components", help="Component counts: 3, 1:6 or 1,2,4.")]
Columns = Annotated[str | None, typer.Option("--columns", help="Columns to use, separated by commas; all by default.")]
Covariance = Annotated[str, typer.Option("--covariance", help="Covariance types, separated by commas.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no tables.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, nothing else.")]
_ALL = "full,tied,diag,spherical"


def parse_components(text: str) -> list[int]:
    """``3``, ``1:6`` (both ends included) or ``1,2,4`` as a list.

    Raises
    ------
    InputError
        If it is none of these, or a count is below 1.
    """
    try:
        if ":" in text:
            low, high = (int(part) for part in text.split(":"))
            counts = list(range(low, high + 1))
        else:
            counts = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"-k {text} is not a count of components: give 3, 1:6 or 1,2,4") from None
    if not counts or min(counts) < 1:
        raise InputError(f"-k {text}: component counts start at 1, as in -k 1:6")
    return counts


def parse_names(text: str | None) -> list[str] | None:
    """Names separated by commas."""
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_covariances(text: str) -> list[str]:
    """Covariance types separated by commas.

    Raises
    ------
    InputError
        Naming the first that is unknown.
    """
    names = parse_names(text) or []
    for name in names:
        if name not in Structure.__members__:
            raise InputError(f"--covariance {name} is unknown: choose among {', '.join(Structure)}")
    if not names:
        raise InputError(f"--covariance is empty: choose among {', '.join(Structure)}")
    return names


_SHORT = {
    "n_components": "K",
    "covariance_type": "covariance",
    "log_likelihood": "log lik",
    "n_parameters": "df",
    "n_starts": "starts",
    "n_hits": "hits",
    "n_obs": "rows",
    "elpd_diff": "diff",
    "elpd_diff_se": "se diff",
    "p_k": "p",
}


def _cell(value: Any) -> str:
    """A value as a table shows it; log likelihoods and criteria are told apart by three decimals."""
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}" if abs(value) < 1e7 else f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def show_table(frame: pd.DataFrame, title: str) -> None:
    """A frame as a rich table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in frame.columns:
        numeric = frame[name].dtype.kind in "iuf"
        short = numeric or frame[name].astype(str).str.len().max() <= 12
        table.add_column(escape(_SHORT.get(str(name), str(name))), justify="right" if numeric else "left", no_wrap=short)
    for row in frame.itertuples(index=False):
        table.add_row(*(escape(_cell(value)) for value in row))
    Console().print(table)


def emit_json(payload: Any) -> None:
    """Strict JSON: what is not a finite number is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [plain(v) for v in value]
        if hasattr(value, "tolist"):
            return plain(value.tolist())
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            return None
        return value

    print(json.dumps(plain(payload), indent=1, allow_nan=False))


@app.command(epilog="Example: `bayesgmm report faithful -k 1:4 -o reports/faithful`")
def report(
    data: Data,
    components: Components = "1:6",
    covariance: Covariance = _ALL,
    columns: Columns = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path("bayesgmm-report"),
    seed: Seed = 0,
    draws: Annotated[int, typer.Option(help="Posterior draws per chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Chains per model.")] = 4,
    every: Annotated[bool, typer.Option("--all", help="Sample every cell of the grid.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """The main job: EM, the full posterior, and where they differ, as one HTML page and its tables."""
    counts, names = parse_components(components), parse_covariances(covariance)
    from .report.files import prepare_folder
    from .tables import read_table

    table = read_table(data, columns=parse_names(columns))
    prepare_folder(output)
    from .analysis import analyze

    analysis = analyze(
        table,
        counts,
        names,
        posterior="all" if every else "bic",
        draws=draws,
        chains=chains,
        random_seed=seed,
        progressbar=not (quiet or as_json),
        command=shlex.join(["bayesgmm", *sys.argv[1:]]),
    )
    analysis.save(output)
    if as_json:
        emit_json(
            {
                "headline": analysis.headline,
                "verdict": analysis.diagnosis.verdict,
                "rivals": analysis.rivals,
                "summary": analysis.contrast.summary,
                "comparison": analysis.comparison.reset_index(names="model").to_dict("records"),
                "folder": str(output),
            }
        )
    elif not quiet:
        show = analysis.comparison.reset_index(names="model")
        wanted = ["model", "bic", "elpd", "elpd_diff", "elpd_diff_se", "p_k", "verdict"]
        show_table(show[wanted], "Sampled models, best expected log density first; p: posterior probability")
        print(f"headline: {analysis.headline} ({analysis.diagnosis.verdict})\n{analysis.contrast.summary}")
        print(f"written: {output / 'report.html'}")


@app.command(epilog="Example: `bayesgmm em iris -k 1:4 --covariance full,tied`")
def em(
    data: Data,
    components: Components = "1:6",
    covariance: Covariance = _ALL,
    columns: Columns = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Maximum likelihood over component counts and covariance types, with AIC, BIC and ICL."""
    counts, names = parse_components(components), parse_covariances(covariance)
    from .em import fit_grid
    from .tables import read_table

    table = read_table(data, columns=parse_names(columns))
    grid = fit_grid(table, counts, names, random_state=seed, progressbar=not (quiet or as_json))
    if as_json:
        emit_json({"best": grid.best_cell("bic"), "grid": grid.table.to_dict("records")})
    elif not quiet:
        show_table(grid.table.drop(columns=["n_starts", "n_hits"]), f"EM on {table.name}: lower BIC, AIC, ICL is better")
        print(grid.fits[grid.best_cell("bic")].summary())


@app.command(epilog="Example: `bayesgmm sample galaxies -k 3 -o galaxies.nc`")
def sample(
    data: Data,
    components: Annotated[int, typer.Option("-k", "--components", help="Number of components.")],
    covariance: Annotated[Structure, typer.Option(help="Covariance type.")] = Structure.full,
    columns: Columns = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="NetCDF file for the draws.")] = None,
    draws: Annotated[int, typer.Option(help="Draws per chain.")] = 1000,
    chains: Annotated[int, typer.Option(help="Chains.")] = 4,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """The posterior of one model, its verdict, and its components."""
    if components < 1:
        raise InputError(f"-k {components}: component counts start at 1")
    from .tables import read_table

    table = read_table(data, columns=parse_names(columns))
    if output is not None:
        from .report.files import prepare_folder

        prepare_folder(output.absolute().parent)
    import arviz_stats

    from .posterior.sampling import sample_posterior
    from .uncertainty.verdict import diagnose

    progress = not (quiet or as_json)
    post = sample_posterior(
        table, components, covariance.value, draws=draws, chains=chains, random_seed=seed, progressbar=progress
    )
    diagnosis = diagnose(post)
    if output is not None:
        post.to_netcdf(output, engine="h5netcdf")
    summary = arviz_stats.summary(post, var_names=["weights", "means", "covariances"], round_to="none")
    if as_json:
        emit_json({"verdict": diagnosis.verdict, "summary": summary.reset_index(names="parameter").to_dict("records")})
    elif not quiet:
        show_table(summary.reset_index(names="parameter"), f"{components} components, {covariance.value}")
        print(f"verdict: {diagnosis.verdict}. {diagnosis.evidence}")
        if not diagnosis.ok:
            print(f"remedy: {diagnosis.remedy}")


@app.command(name="compare", epilog="Example: `bayesgmm compare reports/faithful reports/galaxies`")
def compare_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that `report` wrote.")],
    as_json: AsJson = False,
) -> None:
    """The model comparisons of one or more reports."""
    import pandas as pd

    from .report.files import read_folder

    tables = []
    for folder in folders:
        comparison = read_folder(folder).comparison.reset_index(names="model")
        comparison.insert(0, "analysis", str(folder))
        tables.append(comparison)
    together = pd.concat(tables, ignore_index=True)
    if as_json:
        emit_json(together.to_dict("records"))
        return
    wanted = ["analysis", "model", "bic", "elpd", "elpd_diff", "elpd_diff_se", "weight", "p_k", "verdict"]
    show_table(together[wanted], "Sampled models")


@app.command(epilog="Example: `bayesgmm datasets`")
def datasets(as_json: AsJson = False) -> None:
    """The bundled data sets, with their origin and licence."""
    from .tables import list_datasets

    frame = list_datasets()
    if as_json:
        emit_json(frame.to_dict("records"))
    else:
        show_table(frame[["name", "n_obs", "features", "description"]], "Bundled data sets (licences: --json)")


def main() -> None:
    """Run the command line; input or options that cannot be used end in one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error), 2)
    except typer.Abort:
        _fail("interrupted", 130)
    except TyperException as error:
        message = getattr(error, "format_message", error.__str__)().rstrip(".")
        if not message:  # the help page was shown
            raise SystemExit(2) from None
        _fail(f"{message}: see bayesgmm --help", 2)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    if code == 130:  # typer's own answer to an interrupt
        _fail("interrupted", 130)
    raise SystemExit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> NoReturn:
    print(f"bayesgmm: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)

"""The commands: options in, analysis out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from ..data import InputError
from ..sampling.settings import Settings
from .doctor import doctor
from .export import export
from .options import (
    DEFAULT_COVARIANCES,
    AsJson,
    Chains,
    Components,
    Config,
    Covariance,
    Draws,
    PriorsText,
    Quiet,
    ReportComponents,
    Seed,
    Structure,
    output_path,
    parse_components,
    parse_covariances,
    parse_names,
    parse_priors,
    priors_for,
)
from .outcomes import outcomes_command
from .reading import Reading, announce, check_counts, reads_table
from .score import score
from .show import emit_json, show_table
from .update import update

if TYPE_CHECKING:
    from ..analysis import Analysis

__all__ = ["app", "main"]

_EXIT_CODES = (
    "Exit codes: 0 done; 1 an error of the program; 2 input, options or configuration that cannot be used (one line on "
    "stderr says which, and what to do); 130 interrupted."
)


def _epilog(*examples: str) -> str:
    """Examples, one a line, and the exit codes."""
    shown = "\n\n".join(f"`{example}`" for example in examples)
    return f"Examples:\n\n{shown}\n\n{_EXIT_CODES}"


app = typer.Typer(
    name="bayesgmm",
    help="Gaussian mixtures fitted twice, by EM and by the full posterior, with the answers side by side.",
    epilog=_epilog(
        "bayesgmm report faithful -k 1:4 -o reports/faithful", "bayesgmm em DATA.csv", "bayesgmm report --help"
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        print(f"bayesgmm {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and end.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_epilog(
        "bayesgmm report faithful -k 1:4 -o reports/faithful",
        "bayesgmm report DATA.csv --columns income,age --covariance full,diag --seed 7",
        "bayesgmm report DATA.parquet -k 1:6 --all --json",
        "bayesgmm report --config study.toml",
    )
)
@reads_table
def report(
    reading: Reading,
    components: ReportComponents = None,
    covariance: Covariance = DEFAULT_COVARIANCES,
    priors: PriorsText = None,
    output: Annotated[str, typer.Option("-o", "--output", help="Folder for the results.")] = "bayesgmm-report",
    seed: Seed = 0,
    draws: Draws = Settings.draws,
    chains: Chains = Settings.chains,
    holdout: Annotated[
        float | None, typer.Option(help="Share of the rows to compare predictions on; nothing is fitted to them.")
    ] = None,
    names: Annotated[
        str | None, typer.Option("--names", help="What the groups are called, the largest first, separated by commas.")
    ] = None,
    transform: Annotated[
        str, typer.Option(help="Columns to transform first: none, auto, or COLUMN=log,COLUMN=root.")
    ] = "none",
    every: Annotated[bool, typer.Option("--all", help="Sample every cell of the grid.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Sample anew what an earlier run into the folder did.")
    ] = False,
    config: Config = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """The main job: EM, the full posterior, and where they differ, as one HTML page and its tables.

    A run that was interrupted goes on where it was when it is given again: models that were done are taken from the folder.
    """
    counts = None if components is None else parse_components(components)
    structures = parse_covariances(covariance)
    parse_priors(priors)
    folder = output_path(output)
    from ..clusters import checked_names
    from ..report.files import reserved

    called = checked_names(parse_names(names) or ())

    table = reading.table()
    chosen = priors_for(priors, table)
    if counts is not None:
        check_counts(counts, table)
    with reserved(folder):
        announce(table, quiet or as_json)
        from ..analysis import analyze

        try:
            analysis = analyze(
                table,
                counts,
                structures,
                posterior="all" if every else "bic",
                priors=chosen,
                draws=draws,
                chains=chains,
                random_seed=seed,
                progressbar=not (quiet or as_json),
                holdout=holdout,
                group_names=called,
                transform=transform,
                command=shlex.join(["bayesgmm", *sys.argv[1:]]),
                folder=folder,
                fresh=fresh,
            )
        except KeyboardInterrupt:
            print(f"models that were done are kept in {folder}: the same command goes on from there", file=sys.stderr)
            raise
        analysis.save(folder)
    if as_json:
        emit_json(_as_payload(analysis, folder))
    elif not quiet:
        _show_analysis(analysis, folder)


def _as_payload(analysis: Analysis, output: Path) -> dict[str, Any]:
    return {
        "headline": analysis.headline,
        "verdict": analysis.diagnosis.verdict,
        "rivals": analysis.rivals,
        "summary": analysis.contrast.summary,
        "comparison": analysis.comparison.reset_index(names="model").to_dict("records"),
        "reused": analysis.provenance["reused"],
        "folder": str(output),
    }


def _show_analysis(analysis: Analysis, output: Path) -> None:
    show = analysis.comparison.reset_index(names="model")
    wanted = ["model", "bic", "elpd", "elpd_diff", "elpd_diff_se", "p_k", "p_structure", "verdict"]
    show_table(
        show[wanted], "Sampled models, best expected log density first; p(K), p(cov | K): posterior probabilities"
    )
    print(f"headline: {analysis.headline} ({analysis.diagnosis.verdict})\n{analysis.contrast.summary}")
    if reused := analysis.provenance["reused"]:
        print(f"reused from an earlier run (--fresh samples anew): {', '.join(reused)}")
    print(f"written: {output / 'report.html'}")


@app.command(
    epilog=_epilog(
        "bayesgmm em iris -k 1:4 --covariance full,tied",
        "bayesgmm em DATA.csv -k 2,3 --columns height,weight --json",
    )
)
@reads_table
def em(
    reading: Reading,
    components: Components = "1:6",
    covariance: Covariance = DEFAULT_COVARIANCES,
    seed: Seed = 0,
    config: Config = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Maximum likelihood over component counts and covariance types, with AIC, BIC and ICL."""
    counts, names = parse_components(components), parse_covariances(covariance)
    from ..em import fit_grid

    table = reading.table()
    check_counts(counts, table)
    announce(table, quiet or as_json)
    grid = fit_grid(table, counts, names, random_state=seed, progressbar=not (quiet or as_json))
    if as_json:
        emit_json({"best": grid.best_cell("bic"), "grid": grid.table.to_dict("records")})
    elif not quiet:
        cells = grid.table.drop(columns=["n_starts", "n_hits"])
        also = cells.pop("aliases")
        cells["covariance_type"] += [f" = {names}" if names else "" for names in also]
        show_table(cells, f"EM on {table.name}: lower BIC, AIC, ICL is better")
        print(grid.fits[grid.best_cell("bic")].summary())


@app.command(
    epilog=_epilog(
        "bayesgmm sample faithful -k 2 -o faithful.nc",
        "bayesgmm sample galaxies -k 3 --priors richardson-green",
        """bayesgmm sample DATA.csv -k 2 --covariance diag --priors '{"mean_scale": 3}' --json""",
    )
)
@reads_table
def sample(
    reading: Reading,
    components: Annotated[int, typer.Option("-k", "--components", min=1, help="Number of components.")],
    covariance: Annotated[Structure, typer.Option(help="Covariance type.")] = Structure.full,
    priors: PriorsText = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="NetCDF file for the draws.")] = None,
    draws: Draws = Settings.draws,
    chains: Chains = Settings.chains,
    seed: Seed = 0,
    config: Config = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """The posterior of one model, its verdict, and its components."""
    parse_priors(priors)
    table = reading.table()
    file = None if output is None else output_path(output)
    check_counts([components], table)
    if file is not None:
        from ..report.files import prepare_file

        prepare_file(file)
    announce(table, quiet or as_json)
    import arviz_stats

    from ..checks import diagnose
    from ..sampling import sample_posterior

    post = sample_posterior(
        table,
        components,
        covariance.value,
        priors_for(priors, table),
        draws=draws,
        chains=chains,
        random_seed=seed,
        progressbar=not (quiet or as_json),
    )
    if post.attrs.get("interrupted"):
        raise KeyboardInterrupt  # what an earlier run wrote stays
    diagnosis = diagnose(post)
    if file is not None:
        from ..sampling import write_netcdf

        write_netcdf(post, file)
    summary = arviz_stats.summary(post, var_names=["weights", "means", "covariances"], round_to="none")
    if as_json:
        emit_json({"verdict": diagnosis.verdict, "summary": summary.reset_index(names="parameter").to_dict("records")})
    elif not quiet:
        show_table(summary.reset_index(names="parameter"), f"{components} components, {covariance.value}")
        print(f"verdict: {diagnosis.verdict}. {diagnosis.evidence}")
        if not diagnosis.ok:
            print(f"remedy: {diagnosis.remedy}")


@app.command(
    name="compare",
    epilog=_epilog("bayesgmm compare reports/faithful", "bayesgmm compare reports/faithful reports/galaxies --json"),
)
def compare_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that `report` wrote.")],
    as_json: AsJson = False,
) -> None:
    """The model comparisons of one or more reports."""
    import pandas as pd

    from ..report.files import read_folder

    tables = []
    for folder in folders:
        comparison = read_folder(folder).comparison.reset_index(names="model")
        comparison.insert(0, "analysis", str(folder))
        tables.append(comparison)
    together = pd.concat(tables, ignore_index=True)
    if as_json:
        emit_json(together.to_dict("records"))
        return
    wanted = [
        "analysis",
        "model",
        "bic",
        "elpd",
        "elpd_diff",
        "elpd_diff_se",
        "weight",
        "p_k",
        "p_structure",
        "verdict",
    ]
    show_table(together[wanted], "Sampled models")


app.command(
    epilog=_epilog(
        "bayesgmm score model.json NEW.csv -o scored.csv",
        "bayesgmm score reports/faithful NEW.parquet -o scored.csv --json",
    )
)(score)
app.command(epilog=_epilog("bayesgmm update model.json NEW.csv -o updated.json --drift drift.csv"))(update)
app.command(
    name="outcomes",
    epilog=_epilog(
        "bayesgmm outcomes reports/faithful DATA.csv --columns income,smokes",
        "bayesgmm outcomes reports/faithful DATA.csv --columns income --covariates age --by component --json",
    ),
)(outcomes_command)
app.command(epilog=_epilog("bayesgmm export reports/faithful -o paper --tables latex,csv --figures pdf"))(export)
app.command(epilog=_epilog("bayesgmm doctor", "bayesgmm doctor --json"))(doctor)


@app.command(epilog=_epilog("bayesgmm datasets", "bayesgmm datasets --json"))
def datasets(as_json: AsJson = False) -> None:
    """The bundled data sets, with their origin and licence."""
    from ..data import list_datasets

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

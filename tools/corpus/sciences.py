"""Molecules, sequences, geometries, quantities, graphs and pictures, as their libraries pickle them."""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Callable

from tools.corpus.torch_files import Objects
from tools.corpus.varied import table, varied


def molecules(_rng: random.Random) -> Objects:
    """Molecules and their fingerprints."""
    chem, pd = importlib.import_module("rdkit.Chem"), importlib.import_module("pandas")
    prints = importlib.import_module("rdkit.Chem.rdFingerprintGenerator").GetMorganGenerator(2)
    made = [chem.MolFromSmiles(line) for line in ("CCO", "c1ccccc1O", "CC(=O)Nc1ccc(O)cc1")]
    yield "list", made
    yield "frame", pd.DataFrame({"smiles": ["CCO"] * 3, "mol": made})
    yield "fingerprints", [prints.GetFingerprint(one) for one in made]
    yield "counts", [prints.GetSparseCountFingerprint(one) for one in made]
    yield "pairs", {"CCO": (made[0], prints.GetFingerprint(made[0]))}


def sequences(_rng: random.Random) -> Objects:
    """Sequences, alignments, trees and structures of proteins."""
    seq, record = importlib.import_module("Bio.Seq").Seq, importlib.import_module("Bio.SeqRecord").SeqRecord
    align = importlib.import_module("Bio.Align")
    yield "records", [seq("ATGC"), record(seq("MKV"), id="sp|P1|X", description="protein os system")]
    yield "aligner", align.PairwiseAligner()
    yield "tree", importlib.import_module("Bio.Phylo").read(io.StringIO("(A,(B,C));"), "newick")
    yield "alignment", align.MultipleSeqAlignment([record(seq("AT"), id="a"), record(seq("AC"), id="b")])
    yield "matrix", importlib.import_module("Bio.Align.substitution_matrices").load("BLOSUM62")
    of = {
        name: getattr(importlib.import_module(f"Bio.PDB.{name}"), name)
        for name in ("Structure", "Model", "Chain", "Residue", "Atom")
    }
    residue = of["Residue"]((" ", 1, " "), "GLY", "")
    zeros = importlib.import_module("numpy").zeros(3)
    residue.add(of["Atom"]("CA", zeros, 1.0, 1.0, " ", "CA", 1, "C"))
    chain, model, structure = of["Chain"]("A"), of["Model"](0), of["Structure"]("1abc")
    chain.add(residue)
    model.add(chain)
    structure.add(model)
    yield "structure", structure


def geometries(_rng: random.Random) -> Objects:
    """Geometries, frames of them, and the systems of their coordinates."""
    shapely, geo = importlib.import_module("shapely"), importlib.import_module("shapely.geometry")
    frames, proj = importlib.import_module("geopandas"), importlib.import_module("pyproj")
    points = [geo.Point(1, 2), geo.Point(2, 3)]
    yield "shapes", [*points, geo.Polygon([(0, 0), (1, 0), (1, 1)]), geo.LineString([(0, 0), (1, 1)])]
    yield "tree", shapely.STRtree(points)
    frame = frames.GeoDataFrame({"n": ["a", "b"]}, geometry=points, crs="EPSG:4326")
    yield "frame", frame
    yield "column", frame.geometry
    yield "systems", [proj.CRS("EPSG:3857"), proj.Geod(ellps="WGS84"), proj.Proj("EPSG:4326")]
    yield "transformer", proj.Transformer.from_crs(4326, 3857)


def quantities(_rng: random.Random) -> Objects:
    """Quantities, tables, times and places of astropy."""
    units, np = importlib.import_module("astropy.units"), importlib.import_module("numpy")
    tables = importlib.import_module("astropy.table")
    yield "quantities", [3 * units.m, np.arange(3) * units.km / units.s, units.Unit("erg / (s cm2)")]
    yield "table", tables.Table({"a": [1, 2], "b": ["x", "y"]})
    yield "quantity-table", tables.QTable({"a": [1, 2] * units.m})
    yield "time", importlib.import_module("astropy.time").Time("2020-01-01")
    yield "place", importlib.import_module("astropy.coordinates").SkyCoord(1 * units.deg, 2 * units.deg)
    models = importlib.import_module("astropy.modeling.models")
    yield "model", models.Gaussian1D(1, 2, 3) + models.Const1D(1)
    yield "projection", importlib.import_module("astropy.wcs").WCS(naxis=2)
    yield "header", importlib.import_module("astropy.io.fits").Header([("A", 1, "c")])
    yield "cosmology", importlib.import_module("astropy.cosmology").Planck18


def networks(_rng: random.Random) -> Objects:
    """Graphs of networkx, fresh and after they were looked at."""
    nx = importlib.import_module("networkx")
    club = nx.karate_club_graph()
    yield "club", club
    yield "directed", nx.DiGraph([(1, 2), ("a", "http://example.org/a?b=1")])
    roads = nx.MultiDiGraph()
    roads.add_edge("u", "v", key=3, highway="residential", osmid=[1, 2])
    yield "roads", roads
    seen = nx.path_graph(4)
    views = [seen.nodes, seen.edges, seen.adj, seen.degree]
    yield "seen", seen
    yield "views", views
    yield "dicts", [dict(club.degree()), nx.to_dict_of_dicts(seen)]
    yield "grid", nx.grid_2d_graph(3, 3)
    yield "part", seen.subgraph([1, 2, 3])
    turned = roads.copy()
    yield "edges", [turned.succ, turned.pred, turned.edges]
    yield "planar", nx.check_planarity(seen)


def pictures(rng: random.Random) -> Objects:
    """Pictures, figures, colours and transformations."""
    np, rows = importlib.import_module("numpy"), table(rng)
    turns = importlib.import_module("skimage.transform")
    yield "turns", [turns.AffineTransform(rotation=0.1), turns.SimilarityTransform(), turns.PiecewiseAffineTransform()]
    made = importlib.import_module("PIL.Image").fromarray((rows.x[:8, :3, None] * np.full((1, 1, 3), 255)).astype("u1"))
    yield "pictures", [made, made.convert("P"), made.convert("L")]
    plot = importlib.import_module("matplotlib")
    plot.use("agg")
    figure, axes = importlib.import_module("matplotlib.pyplot").subplots()
    axes.plot([1, 2], label="x")
    axes.legend()
    axes.set_title("t")
    yield "figure", figure
    colours = importlib.import_module("matplotlib.colors")
    yield "colours", [plot.colormaps["viridis"], colours.Normalize(0, 1), colours.ListedColormap(["r", "g"])]


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "molecules": varied(molecules),
    "sequences": varied(sequences),
    "geometries": varied(geometries),
    "quantities": varied(quantities),
    "networks": varied(networks),
    "pictures": varied(pictures),
}

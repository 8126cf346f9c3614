"""What each package is asked to do: a function that imports it, works, and returns plain data, the same in every process.

Each uses what makes native code hard to copy: callbacks into Python, exception classes, caches, threads, other native
packages.  ``@package(NAME, native=MODULE)``: what to install, and the native module that must be at work ("": it cannot be
imported without, or loads it by ctypes): a package that has gone on without its native half would be no proof.
"""

from __future__ import annotations

import asyncio
import datetime
import decimal
import enum
import io
import sys
import uuid
from collections.abc import Callable
from typing import NamedTuple


class Workload(NamedTuple):
    """One package: its distribution's name, then others that it needs; native modules of which one must be loaded."""

    distribution: str
    native: str
    use: Callable[[], object]
    quick: bool
    limit: str | None  # what is known not to work, in a few words


WORKLOADS: dict[str, Workload] = {}


def package(
    distribution: str, native: str, *, quick: bool = False, limit: str | None = None
) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Add the function to the table under its own name."""

    def add(use: Callable[[], object]) -> Callable[[], object]:
        WORKLOADS[use.__name__] = Workload(distribution, native, use, quick, limit)
        return use

    return add


def is_native(name: str) -> bool:
    """Return whether the package's native module is loaded."""
    names = WORKLOADS[name].native.split()
    return not names or any(".so" in (getattr(sys.modules.get(each), "__file__", None) or "") for each in names)


def caught(kind: type[BaseException], function: Callable[..., object], *arguments: object) -> str:
    """Return the text of the exception that the call must raise, of just that class."""
    try:
        function(*arguments)
    except kind as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{function} raised nothing")


# ---- numbers -----------------------------------------------------------------------------------------------------------


@package("numpy", "numpy._core._multiarray_umath", quick=True)
def numpy() -> object:
    import numpy as np

    random = np.random.default_rng(7)
    square = random.normal(size=(40, 40))
    left, values, right = np.linalg.svd(square)
    names = np.array([f"n{i % 17}" for i in range(200)], dtype=object)
    records = np.zeros(4, dtype=[("count", "i8"), ("what", "O")])
    records["what"] = ["a", ("b",), 3, None]
    halves = np.frompyfunc(lambda value: value // 2, 1, 1)
    return [
        bool(np.allclose((left * values) @ right, square)),
        np.sort(names)[::25].tolist(),
        records.tolist(),
        halves(np.arange(100)).sum(),
        np.vectorize(str.upper)(np.array(["ab", "cd"])).tolist(),
        np.einsum("ij,jk->ik", np.eye(3), np.arange(9.0).reshape(3, 3)).tolist(),
        np.fft.ifft(np.fft.fft(np.arange(64.0))).real.round(6).tolist(),
        str(np.datetime64("2026-02-27") + np.arange(4)),
        np.array(["é" * 3, "x"], dtype=np.dtypes.StringDType()).tolist(),
        caught(ValueError, lambda: np.zeros(3) + np.zeros(4)),
        str(np.linalg.LinAlgError.__module__),
        repr(np.float32(1) / 3),
    ]


@package("scipy", "scipy._lib._ccallback_c")
def scipy() -> object:
    import numpy as np
    from scipy import integrate, interpolate, linalg, ndimage, optimize, signal, sparse, spatial, special, stats
    from scipy.sparse import linalg as sparse_linalg

    matrix = sparse.random(50, 50, density=0.1, random_state=3, format="csc") + 5 * sparse.eye(50, format="csc")
    points = np.random.default_rng(5).random((200, 3))
    solved = optimize.root(lambda x: [x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1, 0.5 * (x[1] - x[0]) ** 3 + x[1]], [0, 0])
    return [
        solved.x.round(5).tolist(),
        round(float(sparse_linalg.spsolve(matrix, np.ones(50)).sum()), 6),
        linalg.expm(np.zeros((2, 2))).tolist(),
        spatial.cKDTree(points).query(points[:20], k=2)[1].tolist(),
        round(integrate.quad(lambda x: x**3, 0, 2)[0], 6),
        integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], rtol=1e-6).y[0, -1].round(4).item(),
        ndimage.generic_filter(np.arange(16.0).reshape(4, 4), lambda window: window.max(), size=3).tolist(),
        signal.lfilter([1, 0.5], [1, 0.25], np.arange(20.0)).round(6).tolist(),
        interpolate.CubicSpline([0, 1, 2], [0, 1, 4])(1.5).item(),
        round(float(special.gamma(4.5) + stats.norm.cdf(0.25)), 6),
    ]


@package("pandas", "pandas._libs.lib", quick=True)
def pandas() -> object:
    import pandas as pd

    rows = 3000
    frame = pd.DataFrame({"key": [f"k{i % 11}" for i in range(rows)], "value": [float(i % 97) for i in range(rows)]})
    grouped = frame.groupby("key")["value"]
    hours = pd.date_range("2026-03-28", periods=72, freq="h", tz="Europe/Berlin")
    return [
        grouped.agg(["sum", "mean", "count"]).round(6).to_csv(),
        grouped.apply(lambda part: part.nlargest(2).sum()).tolist(),
        frame.merge(grouped.sum().rename("total").reset_index(), on="key")["total"].sum(),
        pd.read_csv(io.StringIO(frame.head(100).to_csv(index=False))).equals(frame.head(100)),
        pd.Series(range(72), index=hours).resample("D").sum().to_json(),
        frame.pivot_table(index="key", values="value", aggfunc="max").to_dict(),
        frame["value"].rolling(5).mean().dropna().sum().round(6).item(),
        pd.Categorical(frame["key"]).codes[:20].tolist(),
        pd.to_timedelta(["1h", "2 days"]).astype(str).tolist(),
        caught(KeyError, frame.__getitem__, "nothing"),
        caught(pd.errors.ParserError, pd.read_csv, io.StringIO('a,b\n"1,2')),
        repr(frame.head(3)),
    ]


@package("scikit-learn", "sklearn.tree._tree")
def sklearn() -> object:
    from sklearn.cluster import KMeans
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    data, classes = make_classification(150, random_state=4)
    models = [
        RandomForestClassifier(8, random_state=4),
        LogisticRegression(),
        SVC(kernel=lambda left, right: left @ right.T),
        KNeighborsClassifier(3),
    ]
    return [model.fit(data, classes).predict(data).tolist() for model in models] + [
        KMeans(3, n_init=2, random_state=4).fit(data).labels_.tolist()
    ]


@package("numba", "numba._dispatcher")
def numba() -> object:
    import numba
    import numpy as np

    @numba.njit
    def collatz(start: int) -> int:
        steps = 0
        while start != 1:
            start = start // 2 if start % 2 == 0 else 3 * start + 1
            steps += 1
        return steps

    @numba.vectorize(["float64(float64)"])
    def squared(value):  # type: ignore[no-untyped-def]
        return value * value

    return [[collatz(n) for n in range(1, 60)], squared(np.arange(50.0)).sum().item()]


@package("shapely", "shapely.lib")
def shapely() -> object:
    import shapely
    from shapely import affinity, ops

    discs = [shapely.Point(i, 0).buffer(1, quad_segs=4) for i in range(6)]
    union = ops.unary_union(discs)
    return [
        round(union.area, 6),
        shapely.STRtree(discs).query(shapely.Point(2.5, 0)).tolist(),
        union.wkt[:80],
        affinity.scale(discs[0], 2, 2).bounds,
        ops.transform(lambda x, y: (y, x), discs[1]).centroid.wkt,
        caught(shapely.errors.GEOSException, shapely.from_wkt, "POINT (1"),
    ]


@package("pyproj", "pyproj._transformer")
def pyproj() -> object:
    import pyproj

    there = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    return [
        [tuple(round(value, 3) for value in there.transform(degrees, degrees)) for degrees in range(0, 60, 5)],
        pyproj.CRS("EPSG:32633").name,
        caught(pyproj.exceptions.CRSError, pyproj.CRS, "EPSG:99999999").split(":")[0],
    ]


@package("scikit-image", "skimage.measure._ccomp _skimage2.measure._ccomp")
def skimage() -> object:
    import numpy as np
    from skimage import filters, measure, morphology

    stripes = np.indices((40, 40)).sum(0) % 9 > 4
    return [
        int(measure.label(stripes).max()),
        filters.gaussian(stripes.astype(float), 2).sum().round(4).item(),
        int(morphology.skeletonize(stripes).sum()),
    ]


@package("statsmodels", "statsmodels.robust._qn")
def statsmodels() -> object:
    import numpy as np
    import statsmodels.api as sm

    data = sm.add_constant(np.arange(30.0))
    return [sm.OLS(np.arange(30.0) * 2 + 1, data).fit().params.round(6).tolist(), len(sm.tsa.acf(np.arange(30.0)))]


@package("numexpr", "numexpr.interpreter")
def numexpr() -> object:
    import numexpr
    import numpy as np

    total = numexpr.evaluate("values * 2 + sin(values)", {"values": np.arange(1000.0)}).sum()
    return [total.round(6).item(), caught(KeyError, numexpr.evaluate, "nothing + 1")]


@package("lightgbm", "")
def lightgbm() -> object:
    import lightgbm
    import numpy as np

    model = lightgbm.LGBMRegressor(n_estimators=5, verbose=-1, n_jobs=1)
    return model.fit(np.arange(100.0).reshape(50, 2), np.arange(50.0)).predict(np.array([[3.0, 4.0]])).round(4).tolist()


@package("gmpy2", "gmpy2.gmpy2")
def gmpy2() -> object:
    import gmpy2

    return [
        str(gmpy2.mpz(2) ** 200),
        str(gmpy2.sqrt(gmpy2.mpfr(2))),
        gmpy2.is_prime(97),
        caught(ValueError, gmpy2.mpz, "x"),
    ]


# ---- tables and files --------------------------------------------------------------------------------------------------


@package("pyarrow", "pyarrow.lib")
def pyarrow() -> object:
    import pyarrow
    from pyarrow import compute, parquet

    table = pyarrow.table({"number": list(range(2000)), "group": [f"g{i % 7}" for i in range(2000)]})
    file = io.BytesIO()
    parquet.write_table(table, file)
    return [
        table.group_by("group").aggregate([("number", "sum")]).sort_by("group").to_pydict(),
        compute.sum(compute.multiply(table["number"], 3)).as_py(),
        parquet.read_table(io.BytesIO(file.getvalue())).equals(table),
        pyarrow.array([{"a": 1}, {"a": None}]).to_pylist(),
        table.slice(0, 20).to_pandas()["group"].tolist(),
        caught(pyarrow.ArrowInvalid, pyarrow.array, [1, "x"])[:40],
    ]


@package("polars", "polars._plr")
def polars() -> object:
    import polars as pl

    frame = pl.DataFrame({"number": range(500), "group": [f"g{i % 5}" for i in range(500)]})
    return [
        frame.group_by("group").agg(pl.col("number").sum()).sort("group").rows(),
        frame.lazy().filter(pl.col("number") % 2 == 0).select(pl.len()).collect().item(),
        frame["number"].map_elements(lambda value: value * 2, return_dtype=pl.Int64).sum(),
        pl.read_csv(io.BytesIO(frame.write_csv().encode())).equals(frame),
        caught(pl.exceptions.ColumnNotFoundError, lambda: frame.select("nothing")).split("\n")[0],
    ]


@package("h5py", "h5py.h5", quick=True)
def h5py() -> object:
    import h5py
    import numpy as np

    found: list[object] = []
    for number in range(12):
        file = io.BytesIO()
        with h5py.File(file, "w") as store:
            for group in range(5):
                data = store.create_dataset(
                    f"g{group}/x", data=np.arange(900.0) * group, compression="gzip", chunks=(300,)
                )
                data.attrs["number"] = number
            store["names"] = np.array(["a", "bé"], dtype=h5py.string_dtype())
        with h5py.File(file, "r") as store:
            store.visit(found.append)
            found += [float(store[f"g{group}/x"][::7].sum()) for group in range(5)]
            found += [store["names"][:].tolist(), int(store["g1/x"].attrs["number"])]
    return [*found, caught(OSError, h5py.File, io.BytesIO(b"no such format"), "r").split("(")[0]]


@package("netCDF4", "netCDF4._netCDF4")
def netcdf4() -> object:
    import netCDF4
    import numpy as np

    with netCDF4.Dataset("survey.nc", "w", memory=1024) as data:  # in memory: no file of that name is made
        data.createDimension("time", 5)
        values = data.createVariable("values", "f8", ("time",))
        values[:] = np.arange(5.0)
        return [values[:].tolist(), list(data.variables), caught(IndexError, data.__getitem__, "nothing")]


@package("tables", "tables.hdf5extension")
def tables() -> object:
    import numpy as np
    import tables

    with tables.open_file("survey.h5", "w", driver="H5FD_CORE", driver_core_backing_store=0) as file:
        file.create_array("/", "values", np.arange(10))
        return [file.root.values[:].tolist(), caught(tables.NoSuchNodeError, file.get_node, "/nothing").split("`")[0]]


@package("fastavro", "fastavro._write")
def fastavro() -> object:
    import fastavro

    schema = fastavro.parse_schema({"type": "record", "name": "Row", "fields": [{"name": "number", "type": "int"}]})
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"number": n} for n in range(20)], sync_marker=b"x" * 16)
    return [file.getvalue(), list(fastavro.reader(io.BytesIO(file.getvalue())))]


@package("pymongo", "bson._cbson")
def pymongo() -> object:
    import bson

    value = {"list": [1, 2.5, None], "id": bson.ObjectId(b"a" * 12), "when": datetime.datetime(2026, 1, 2)}
    data = bson.encode(value)
    return [
        data,
        repr([bson.decode(data) for _ in range(100)][-1]),
        caught(bson.errors.InvalidBSON, bson.decode, data[:-1]),
    ]


@package("duckdb", "_duckdb")
def duckdb() -> object:
    import duckdb

    with duckdb.connect() as database:
        database.execute("create table t as select range as n, 'g' || range % 3 as g from range(300)")
        database.create_function("twice", lambda value: 2 * value, ["BIGINT"], "BIGINT")
        return [
            database.execute("select g, sum(n) from t group by g order by g").fetchall(),
            database.execute("select sum(twice(n)) from t").fetchone(),
            caught(duckdb.CatalogException, database.execute, "select * from nothing").split("\n")[0],
        ]


@package("SQLAlchemy", "sqlalchemy.util._collections_cy")
def sqlalchemy() -> object:
    import sqlalchemy as sa
    from sqlalchemy import orm

    class Base(orm.DeclarativeBase):
        pass

    class User(Base):
        __tablename__ = "users"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String)

    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all(User(id=n, name=f"user {n}") for n in range(50))
        session.commit()
        found = session.scalars(sa.select(User).where(User.id < 5).order_by(User.name.desc())).all()
        result = [user.name for user in found], session.scalar(sa.select(sa.func.count()).select_from(User))
    engine.dispose()
    return result


# ---- JSON and other formats --------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


@package("orjson", "orjson.orjson", quick=True)
def orjson() -> object:
    import dataclasses

    import orjson

    @dataclasses.dataclass
    class Point:
        x: int
        y: str

    value = {
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "id": uuid.UUID(int=5),
        "points": [Point(1, "é"), Point(2, "x" * 40)],
        "colour": Colour.RED,
        "none": [None, True, 1.5, 2**40],
    }
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    return [
        text,
        [orjson.loads(text) for _ in range(200)][-1],
        orjson.dumps({"set": {3}, "big": decimal.Decimal("1.5")}, default=lambda value: str(value)),
        [caught(orjson.JSONDecodeError, orjson.loads, b'{"a":') for _ in range(50)][-1],
        caught(TypeError, orjson.dumps, object),
    ]


@package("ujson", "ujson")
def ujson() -> object:
    import ujson

    text = ujson.dumps({"a": [1, 1.5, None, "é" * 20], "b": {"c": True}}, sort_keys=True)
    return [text, [ujson.loads(text) for _ in range(300)][-1], caught(ujson.JSONDecodeError, ujson.loads, "{")]


@package("simplejson", "simplejson._speedups")
def simplejson() -> object:
    import simplejson

    text = '{"a": [1, 1.25, "\\u00e9", null], "b": {}}'
    return [
        repr(simplejson.loads(text, use_decimal=True)),
        [simplejson.dumps(simplejson.loads(text)) for _ in range(300)][-1],
        simplejson.loads(text, object_hook=lambda found: sorted(found)),
        caught(simplejson.JSONDecodeError, simplejson.loads, "{"),
    ]


@package("msgspec", "msgspec._core", quick=True)
def msgspec() -> object:
    import msgspec

    class Item(msgspec.Struct):
        name: str
        number: int = 5
        when: datetime.datetime | None = None
        tags: list[str] = []

    item = Item("é", 7, datetime.datetime(2026, 1, 2, 3, 4, 5), ["a", "b"])
    decoder = msgspec.json.Decoder(Item)
    text = msgspec.json.encode(item)
    return [
        text,
        repr([decoder.decode(text) for _ in range(300)][-1]),
        repr(msgspec.msgpack.decode(msgspec.msgpack.encode(item), type=Item)),
        [caught(msgspec.ValidationError, decoder.decode, b'{"name": 5}') for _ in range(50)][-1],
        msgspec.convert({"name": "x", "number": "3"}, Item, strict=False).number,
        msgspec.json.encode(object(), enc_hook=lambda value: "hook"),
    ]


@package("msgpack", "msgpack._cmsgpack", quick=True)
def msgpack() -> object:
    import msgpack

    value = {"list": [1, 2.5, None, b"bytes", "é"], "when": msgpack.Timestamp(5, 6), "extra": msgpack.ExtType(4, b"q")}
    data = msgpack.packb(value)
    unpacker = msgpack.Unpacker(object_hook=lambda found: sorted(found))
    unpacker.feed(data * 3)
    return [
        data,
        repr([msgpack.unpackb(data) for _ in range(300)][-1]),
        list(unpacker),
        msgpack.packb({1, 2}, default=sorted),
        caught(ValueError, msgpack.unpackb, data[:-1]).split(":")[0],
    ]


@package("cbor2", "cbor2._cbor2")
def cbor2() -> object:
    import cbor2

    value = {
        "when": datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        "number": decimal.Decimal("1.25"),
        "list": [1, None],
    }
    data = cbor2.dumps(value)
    return [data, repr(cbor2.loads(data)), caught(cbor2.CBORDecodeError, cbor2.loads, data[:-1]).split(":")[0]]


@package("PyYAML", "yaml._yaml")
def yaml() -> object:
    import yaml

    text = "a: [1, 2, {b: c}]\nwhen: 2026-01-02\nanchor: &x [1]\nagain: *x\n"
    found = [yaml.load(text, Loader=yaml.CSafeLoader) for _ in range(30)][-1]
    return [
        repr(found),
        yaml.dump(found, Dumper=yaml.CSafeDumper),
        caught(yaml.YAMLError, yaml.load, "a: [", yaml.CSafeLoader),
    ]


@package("ruamel.yaml.clib ruamel.yaml", "_ruamel_yaml")
def ruamel() -> object:
    import ruamel.yaml

    yaml = ruamel.yaml.YAML(typ="safe", pure=False)
    return [repr(yaml.load("a: [1, {b: c}]")), caught(ruamel.yaml.YAMLError, yaml.load, "a: [")]


@package("lxml", "lxml.etree", quick=True)
def lxml() -> object:
    import lxml.html
    import lxml.objectify
    from lxml import etree

    class Resolver(etree.Resolver):
        def resolve(self, url, public, context):  # type: ignore[no-untyped-def]
            return self.resolve_string("<!ENTITY who 'world'>", context)

    parser = etree.XMLParser(load_dtd=True)
    parser.resolvers.add(Resolver())
    namespace = etree.FunctionNamespace("urn:survey")
    namespace["twice"] = lambda context, value: 2 * value
    tree = etree.fromstring("<a>" + '<b x="1">t</b>' * 40 + "</a>")
    style = etree.XSLT(
        etree.XML(
            '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
            '<n><xsl:value-of select="count(//b)"/></n></xsl:template></xsl:stylesheet>'
        )
    )
    return [
        [len(tree.xpath("//b[@x=1]")) for _ in range(50)][-1],
        tree.xpath("s:twice(count(//b))", namespaces={"s": "urn:survey"}),
        str(style(tree)),
        etree.tostring(etree.fromstring('<!DOCTYPE a SYSTEM "x.dtd"><a>hello &who;</a>', parser)),
        [caught(etree.XMLSyntaxError, etree.fromstring, "<a><b>") for _ in range(50)][-1],
        lxml.html.fromstring("<p>one<br>two").text_content(),
        lxml.objectify.fromstring("<a><b>1</b></a>").b + 1,
        [event for event, _ in etree.iterparse(io.BytesIO(b"<a><b/><c/></a>"), ("start", "end"))],
    ]


@package("protobuf", "google._upb._message")
def protobuf() -> object:
    from google.protobuf import json_format, message, struct_pb2

    struct = struct_pb2.Struct()
    struct.update({"a": 1, "b": ["x", {"c": True}]})
    data = struct.SerializeToString(deterministic=True)
    return [
        data,
        json_format.MessageToJson(struct_pb2.Struct.FromString(data), sort_keys=True),
        caught(message.DecodeError, struct_pb2.Struct.FromString, b"\xff\xff"),
    ]


# ---- models, text, security --------------------------------------------------------------------------------------------


@package("pydantic", "pydantic_core._pydantic_core", quick=True)
def pydantic() -> object:
    from typing import Annotated

    import pydantic

    class Item(pydantic.BaseModel):
        number: int
        price: decimal.Decimal = decimal.Decimal("1.5")
        word: Annotated[str, pydantic.Field(pattern="^x+$")] = "x"

        @pydantic.field_validator("number")
        @classmethod
        def next_number(cls, value: int) -> int:
            return value + 1

    class Order(pydantic.BaseModel):
        when: datetime.datetime
        items: list[Item]

    order = {"when": "2026-01-02T03:04:05Z", "items": [{"number": str(n)} for n in range(20)]}
    made = [Order.model_validate(order) for _ in range(50)][-1]
    return [
        repr(made),
        made.model_dump_json(),
        repr(Order.model_validate_json(made.model_dump_json()).items[3]),
        [caught(pydantic.ValidationError, Item.model_validate, {"number": "z", "word": "y"}) for _ in range(30)][-1],
        Order.model_json_schema(),
        pydantic.TypeAdapter(dict[int, list[float]]).validate_python({"1": ["2.5"]}),
    ]


@package("cryptography", "cryptography.hazmat.bindings._rust")
def cryptography() -> object:
    from cryptography import exceptions, fernet, x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from cryptography.hazmat.primitives.ciphers import aead

    found: list[object] = []
    for number in range(10):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"n{number}")])
        start = datetime.datetime(2026, 1, 1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(5 + number)
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=9))
            .sign(key, None)
        )
        curve = ec.derive_private_key(number + 9, ec.SECP256R1()).public_key()
        pem = serialization.Encoding.PEM
        found += [
            key.sign(b"message"),
            certificate.public_bytes(pem),
            curve.public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo),
            aead.AESGCM(b"k" * 32).encrypt(b"n" * 12, b"data", b"more"),
            caught(exceptions.InvalidTag, aead.AESGCM(b"k" * 32).decrypt, b"n" * 12, b"data" * 9, None),
            caught(exceptions.InvalidSignature, key.public_key().verify, b"s" * 64, b"message"),
        ]
    box = fernet.Fernet(b"A" * 43 + b"=")
    return [*found, box.decrypt(box.encrypt(b"secret"))]


@package("pycryptodome", "")
def pycryptodome() -> object:
    from Crypto.Cipher import AES
    from Crypto.Hash import SHA256

    box = AES.new(b"k" * 16, AES.MODE_GCM, b"n" * 12)
    return [box.encrypt_and_digest(b"data"), SHA256.new(b"x").hexdigest()]


@package("bcrypt", "bcrypt._bcrypt")
def bcrypt() -> object:
    import bcrypt

    return [bcrypt.hashpw(b"password", b"$2b$04$" + b"a" * 21 + b"."), caught(ValueError, bcrypt.hashpw, b"x", b"salt")]


@package("argon2-cffi", "_argon2_cffi_bindings._ffi")
def argon2() -> object:
    from argon2 import low_level

    return [low_level.hash_secret(b"password", b"saltsalt", 1, 64, 1, 16, low_level.Type.ID) for _ in range(20)][-1]


@package("PyNaCl", "nacl._sodium")
def nacl() -> object:
    import nacl.exceptions
    import nacl.secret
    import nacl.signing

    box = nacl.secret.SecretBox(b"k" * 32)
    return [
        [bytes(nacl.signing.SigningKey(bytes([n]) * 32).sign(b"x")) for n in range(30)],
        box.decrypt(box.encrypt(b"message", b"n" * 24)),
        caught(nacl.exceptions.CryptoError, box.decrypt, b"x" * 60),
    ]


@package("cffi", "_cffi_backend")
def cffi() -> object:
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(
        "void qsort(void*, size_t, size_t, int (*)(const void*, const void*)); typedef struct { int a; char b[4]; } pair;"
    )
    library = ffi.dlopen(None)

    @ffi.callback("int(const void*, const void*)")
    def compare(left, right):  # type: ignore[no-untyped-def]
        return ffi.cast("int*", left)[0] - ffi.cast("int*", right)[0]

    numbers = ffi.new("int[]", [(7 * n) % 23 for n in range(23)])
    library.qsort(numbers, 23, 4, compare)
    return [
        list(numbers),
        bytes(ffi.buffer(ffi.new("pair*", {"a": 5}))),
        caught(cffi.CDefError, ffi.typeof, "nothing").split("\n")[0],
    ]


@package("regex", "regex._regex")
def regex() -> object:
    import regex

    return [
        regex.findall(r"(?V1)\p{L}+[[a-z]--[aeiou]]", "Größe Haus xyz" * 5),
        regex.sub(r"(a)(?R)?b", lambda found: found[0].upper(), "aabb ab"),
        caught(regex.error, regex.compile, "(").split(" at ")[0],
    ]


@package("rapidfuzz", "rapidfuzz.process_cpp_impl")
def rapidfuzz() -> object:
    from rapidfuzz import fuzz, process

    words = [f"word {n}" for n in range(50)]
    return [
        process.extract("word 7", words, limit=3),
        fuzz.token_sort_ratio("a b c", "c b a"),
        process.extractOne("WORD 9", words, processor=str.lower),
    ]


@package("tiktoken", "tiktoken._tiktoken")
def tiktoken() -> object:
    import tiktoken

    ranks = {bytes([n]): n for n in range(256)} | {b"ab": 256, b" c": 257}
    coder = tiktoken.Encoding("survey", pat_str=r"\w+|\s+\w*", mergeable_ranks=ranks, special_tokens={})
    return [coder.encode("ab c abab" * 3), coder.encode_batch(["ab", "c"] * 5), coder.decode([256, 257])]


@package("tokenizers", "tokenizers.tokenizers")
def tokenizers() -> object:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(["hello world " * 9, "foo bar"], trainers.BpeTrainer(vocab_size=50, show_progress=False))
    return [made.encode("hello bar").ids, [coded.ids for coded in made.encode_batch(["foo world"] * 20)]]


@package("charset-normalizer", "charset_normalizer.md")
def charset_normalizer() -> object:
    import charset_normalizer

    best = charset_normalizer.from_bytes("Größe und Länge, über alle Äpfel".encode("latin-1") * 5).best()
    return best.encoding if best else None


@package("MarkupSafe", "markupsafe._speedups")
def markupsafe() -> object:
    import markupsafe

    return [str(markupsafe.escape(f"<{n}>&\"'")) for n in range(200)] + [str(markupsafe.Markup("<b>%s</b>") % "<i>")]


@package("spacy", "spacy.tokens.doc")
def spacy() -> object:
    import spacy

    language = spacy.blank("en")
    language.add_pipe("sentencizer")
    return [[token.text for token in language("Hello world. Goodbye!")], len(list(language("A b. C d. E f.").sents))]


@package("rpds-py", "rpds.rpds")
def rpds() -> object:
    import rpds

    mapping = rpds.HashTrieMap({"a": 1}).insert("b", 2)
    return [sorted(mapping.items()), repr(rpds.List([1, 2])), caught(KeyError, mapping.__getitem__, "c")]


@package("bitarray", "bitarray._bitarray")
def bitarray() -> object:
    import bitarray

    return [
        (bitarray.bitarray("1101") * 3).to01(),
        repr(bitarray.bitarray("10")),
        caught(ValueError, bitarray.bitarray, "2"),
    ]


@package("wrapt", "wrapt._wrappers")
def wrapt() -> object:
    import wrapt

    @wrapt.decorator
    def twice(wrapped, instance, arguments, keywords):  # type: ignore[no-untyped-def]
        return 2 * wrapped(*arguments, **keywords)

    @twice
    def same(value: int) -> int:
        return value

    return [same(4), same.__name__, wrapt.ObjectProxy([1, 2]) == [1, 2]]


@package("zope.interface", "zope.interface._zope_interface_coptimizations")
def zope() -> object:
    import zope.interface

    class Speaks(zope.interface.Interface):
        def speak() -> None:  # type: ignore[misc]
            pass

    @zope.interface.implementer(Speaks)
    class Dog:
        pass

    return [Speaks.providedBy(Dog()), caught(TypeError, Speaks, 5)]


# ---- pictures ----------------------------------------------------------------------------------------------------------


@package("pillow", "PIL._imaging")
def pillow() -> object:
    from PIL import Image, ImageDraw, ImageFilter, ImageFont, UnidentifiedImageError

    found: list[object] = []
    for number in range(3):
        image = Image.new("RGB", (120, 120), (number, 2, 3))
        ImageDraw.Draw(image).text((5, 5), "hello", font=ImageFont.load_default(20))
        image = image.rotate(30).resize((60, 60)).filter(ImageFilter.GaussianBlur(2)).point(lambda value: value // 2)
        for kind in ("PNG", "JPEG", "WEBP"):
            file = io.BytesIO()
            image.save(file, kind)
            found += [file.getvalue(), Image.open(io.BytesIO(file.getvalue())).getpixel((30, 30))]
    return [*found, caught(UnidentifiedImageError, Image.open, io.BytesIO(b"none")).split("<")[0]]


@package("matplotlib", "matplotlib._path")
def matplotlib() -> object:
    import matplotlib

    matplotlib.use("agg")
    import numpy as np
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot(np.arange(40), np.sin(np.arange(40)))
    axes.set_title("title")
    axes.contour(np.random.default_rng(1).random((8, 8)))
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return file.getvalue()


@package("opencv-python-headless", "")
def cv2() -> object:
    import cv2
    import numpy as np

    noise = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return [
        cv2.GaussianBlur(noise, (5, 5), 1).sum(),
        cv2.imencode(".png", noise)[1].tobytes()[:400],
        caught(cv2.error, cv2.cvtColor, noise, 99999).split("\n")[0][:20],
    ]


@package("av", "av._core")
def av() -> object:
    import av
    import numpy as np

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as movie:
        stream = movie.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(5):
            picture = np.full((64, 64, 3), 20 * number, np.uint8)
            movie.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        movie.mux(stream.encode())
    return [
        len(list(av.open(io.BytesIO(file.getvalue())).decode(video=0))),
        caught(av.error.InvalidDataError, av.open, io.BytesIO(b"none")),
    ]


# ---- networks ----------------------------------------------------------------------------------------------------------


@package("aiohttp", "aiohttp._http_parser")
def aiohttp() -> object:
    import aiohttp
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"query": dict(request.query), "body": await request.text()})

    async def exchange() -> list[object]:
        app = web.Application()
        app.router.add_post("/x", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        found: list[object] = []
        async with aiohttp.ClientSession() as session:
            for number in range(20):
                async with session.post(f"http://127.0.0.1:{port}/x?n={number}", data="z" * 50) as response:
                    found.append(await response.json())
        await runner.cleanup()
        return found

    return asyncio.run(exchange())


@package("multidict", "multidict._multidict")
def multidict() -> object:
    import multidict

    found = multidict.CIMultiDict([("A", 1), ("b", 2)])
    found.add("a", 3)
    return [found.getall("a"), list(found.items()), caught(KeyError, found.__getitem__, "c")]


@package("httptools", "httptools.parser.parser")
def httptools() -> object:
    import httptools

    found: list[object] = []

    class Listener:
        def on_url(self, url: bytes) -> None:
            found.append(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            found.append((name, value))

    for number in range(50):
        httptools.HttpRequestParser(Listener()).feed_data(b"GET /a?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
    rubbish = httptools.HttpRequestParser(Listener()).feed_data
    return [
        *found,
        httptools.parse_url(b"http://a/b?c").path,
        caught(httptools.HttpParserError, rubbish, b"?\r\n\r\n")[:30],
    ]


@package("hiredis", "hiredis.hiredis")
def hiredis() -> object:
    import hiredis

    reader = hiredis.Reader(protocolError=ValueError, replyError=lambda text: KeyError(text))
    reader.feed(b"*2\r\n$1\r\na\r\n:5\r\n-ERR no\r\n")
    found = [repr(reader.gets()), repr(reader.gets()), hiredis.pack_command(("SET", "a", 1))]
    reader.feed(b"?\r\n")
    return [*found, caught(ValueError, reader.gets)]


@package("websockets", "websockets.speedups")
def websockets() -> object:
    import websockets.speedups

    return [
        websockets.speedups.apply_mask(b"abcd" * 5, b"1234"),
        caught(ValueError, websockets.speedups.apply_mask, b"a", b"1"),
    ]


@package("uvloop", "uvloop.loop")
def uvloop() -> object:
    import uvloop

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def exchange() -> list[object]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        found: list[object] = []
        for number in range(50):
            writer.write(b"%03d" % number)
            found.append(await reader.readexactly(3))
        found.append(await asyncio.get_running_loop().run_in_executor(None, lambda: 5))
        writer.close()
        server.close()
        return found

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(exchange())


@package("pyzmq", "zmq.backend.cython._zmq")
def zmq() -> object:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PUSH) as push, context.socket(zmq.PULL) as pull:
        pull.connect(f"tcp://127.0.0.1:{push.bind_to_random_port('tcp://127.0.0.1')}")
        found = []
        for number in range(50):
            push.send(b"%d" % number)
            found.append(pull.recv())
        return [*found, caught(zmq.ZMQError, push.bind, "nothing://")]


@package("psycopg[binary]", "psycopg_binary._psycopg")
def psycopg() -> object:
    import psycopg
    from psycopg import adapt, pq

    return [
        pq.__impl__,
        [bytes(adapt.Transformer().as_literal(f"it's {n}")) for n in range(50)],
        caught(psycopg.OperationalError, psycopg.connect, "host=127.0.0.1 port=1 connect_timeout=1").split(":")[0],
    ]


@package("psycopg2-binary", "psycopg2._psycopg")
def psycopg2() -> object:
    import psycopg2
    from psycopg2 import extensions

    return [
        [extensions.adapt([n, 1.5, datetime.date(2026, 1, 2)]).getquoted() for n in range(50)],
        extensions.make_dsn(host="a", port=5),
        caught(psycopg2.OperationalError, psycopg2.connect, "host=127.0.0.1 port=1 connect_timeout=1").split(":")[0],
    ]


@package("asyncpg", "asyncpg.protocol.protocol")
def asyncpg() -> object:
    import asyncpg
    from asyncpg.pgproto import pgproto

    async def connect() -> str:
        try:
            await asyncpg.connect("postgres://a:b@127.0.0.1:1/x", timeout=1)
        except OSError as error:
            return type(error).__name__
        return "connected"

    return [str(pgproto.UUID("0" * 31 + "5")), asyncio.run(connect())]


# ---- other -------------------------------------------------------------------------------------------------------------


@package("greenlet", "greenlet._greenlet", limit="runs, and writes a warning when a worker ends")
def greenlet() -> object:
    import greenlet

    found: list[object] = []

    def first(value: int) -> int:
        found.append(second.switch(value + 1))
        return 9

    for number in range(100):
        one = greenlet.greenlet(first)
        second = greenlet.greenlet(lambda value, one=one: one.switch(2 * value))
        found.append(one.switch(number))
    return found


@package(
    "gevent",
    "gevent._gevent_cgreenlet",
    limit="runs, and greenlet writes a warning when a worker ends",
)
def gevent() -> object:
    import gevent
    import gevent.queue

    queue = gevent.queue.Queue()
    found: list[int] = []

    def produce() -> None:
        for number in range(20):
            queue.put(number)
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(produce), gevent.spawn(lambda: found.extend(queue.get() for _ in range(20)))])
    return [*found, gevent.get_hub().threadpool.spawn(lambda: 7).get()]


@package("zstandard", "zstandard.backend_c")
def zstandard() -> object:
    import zstandard

    pack, unpack = zstandard.ZstdCompressor(3), zstandard.ZstdDecompressor()
    return [
        [unpack.decompress(pack.compress(b"abc" * 500 + bytes([n])))[-1] for n in range(50)],
        caught(zstandard.ZstdError, unpack.decompress, b"none").split(":")[0],
    ]


@package("lz4", "lz4.frame._frame")
def lz4() -> object:
    import lz4.block
    import lz4.frame

    return [
        [lz4.frame.decompress(lz4.frame.compress(b"abc" * 500 + bytes([n])))[-1] for n in range(50)],
        caught(RuntimeError, lz4.frame.decompress, b"none none none"),
    ]


@package("brotli", "_brotli")
def brotli() -> object:
    import brotli

    return [brotli.decompress(brotli.compress(b"abc" * 500)), caught(brotli.error, brotli.decompress, b"\xff" * 9)]


@package("cramjam", "cramjam.cramjam")
def cramjam() -> object:
    import cramjam

    return [
        [bytes(cramjam.snappy.decompress(cramjam.snappy.compress(b"abc" * 500 + bytes([n]))))[-1] for n in range(50)],
        caught(cramjam.DecompressionError, cramjam.gzip.decompress, b"none").split(":")[0],
    ]


@package("blake3", "blake3.blake3")
def blake3() -> object:
    import blake3

    return [blake3.blake3(bytes([n]) * 5000).hexdigest() for n in range(20)]


@package("xxhash", "xxhash._xxhash")
def xxhash() -> object:
    import xxhash

    return [xxhash.xxh3_64_hexdigest(bytes([n]) * 500) for n in range(50)]


@package("psutil", "psutil._psutil_linux")
def psutil() -> object:
    import os

    import psutil

    return [
        psutil.Process().pid == os.getpid(),
        psutil.virtual_memory().total,
        caught(psutil.NoSuchProcess, psutil.Process, 2**30)[:13],
    ]

"""Makes the tables of this folder: the same four rows in every kind of file that `prepare` reads, and a few that lack
something.

    .venv/bin/python3 tests/golden/tables/make.py
"""
import csv
import datetime
import gzip
import json
import math
import pathlib

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

HERE = pathlib.Path(__file__).parent
ROWS = [
    {"text": "the film is good", "label": "yes", "meta": {"label": "yes", "parts": ["the film", "is good"]},
     "messages": [{"role": "user", "content": "the film"}, {"role": "assistant", "content": "is good"}], "number": 1},
    {"text": "a very bad plot", "label": "no", "meta": {"label": "no", "parts": ["a very bad plot"]},
     "messages": [{"role": "user", "content": "a very bad plot"}], "number": 2},
    {"text": "not a great film", "label": "no", "meta": {"label": "no", "parts": []}, "messages": [], "number": 3},
    {"text": "great actors", "label": "yes", "meta": {"label": "yes", "parts": ["great", "actors"]}, "messages": None,
     "number": 4},
]


def packed(name, packing="gz"):
    content = (HERE / name).read_bytes()
    if packing == "gz":
        content = gzip.compress(content, mtime=0)
    else:
        content = pa.Codec("zstd").compress(content, asbytes=True)
    (HERE / f"{name}.{packing}").write_bytes(content)


def main():
    with open(HERE / "rows.jsonl", "w") as out:
        out.writelines(json.dumps(row) + "\n" for row in ROWS)
    for name, delimiter in (("rows.csv", ","), ("semicolons.csv", ";"), ("bars.csv", "|")):
        with open(HERE / name, "w", newline="", encoding="utf-8-sig" if delimiter == ";" else "utf-8") as out:
            table = csv.writer(out, delimiter=delimiter, lineterminator="\n")
            table.writerow(ROWS[0])
            table.writerows([json.dumps(v) if isinstance(v, (dict, list)) else v for v in row.values()] for row in ROWS)
    table = pa.Table.from_pylist(ROWS)
    pa.parquet.write_table(table, HERE / "rows.parquet", row_group_size=3)
    pa.feather.write_feather(table, HERE / "rows.feather")
    with pa.OSFile(str(HERE / "stream.arrow"), "wb") as out, pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table, max_chunksize=3)
    odd = pa.table({
        "text": ["a", "b"], "label": ["x", "y"], "nothing": pa.array([None, "c"]), "bytes": [b"\xff", b"\x00"],
        "real": [1.0, math.nan], "day": [datetime.date(2024, 2, 29)] * 2, "json": ['{"k": 1}', '{"k": '],
        "words": pa.array(["p", "q"]).dictionary_encode(), "big": pa.array([1, 2**63], pa.uint64())})
    pa.parquet.write_table(odd, HERE / "odd.parquet")
    pa.parquet.write_table(table.slice(0, 0), HERE / "empty.parquet")
    pa.parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text", "text"]), HERE / "twice.parquet")
    # Python's own check of texts is left out, so that the bytes are no UTF-8.
    bad = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")])
    pa.parquet.write_table(pa.table({"text": bad, "label": ["x", "y"]}), HERE / "latin.parquet")
    for name in ("rows.jsonl", "rows.csv", "rows.parquet", "stream.arrow"):
        packed(name)
        packed(name, "zst")
    (HERE / "documents.txt").write_bytes(b"\xef\xbb\xbfa film\r\n\r\n\r\nthe good\r\nfilm\r\n\r\nbad film\r\n")


main()

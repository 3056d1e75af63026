"""A dataset version's digest: over schema, roles and files, in order; nothing else."""

from dataclasses import replace

from custody.core.digest import digest_of
from custody.core.schema import Column, ColumnType, Schema
from custody.data.dataset import Part, content_digest

SCHEMA = Schema((Column("age", ColumnType.INTEGER), Column("left", ColumnType.STRING)), target="left", positive="Yes")
ONE, TWO = Part(digest_of(b"1"), 60, 4096), Part(digest_of(b"2"), 40, 2048)


def test_the_same_content_has_the_same_digest_whatever_its_size_on_disk() -> None:
    assert content_digest([ONE, TWO], SCHEMA) == content_digest([replace(ONE, size_bytes=1), TWO], SCHEMA)


def test_files_rows_types_and_roles_all_count() -> None:
    other_type = Schema((Column("age", ColumnType.FLOAT), SCHEMA.columns[1]), target="left", positive="Yes")
    variants = [
        content_digest([ONE, TWO], SCHEMA),
        content_digest([TWO, ONE], SCHEMA),
        content_digest([ONE], SCHEMA),
        content_digest([replace(ONE, rows=61), TWO], SCHEMA),
        content_digest([ONE, TWO], other_type),
        content_digest([ONE, TWO], Schema(SCHEMA.columns[::-1], target="left", positive="Yes")),
        content_digest([ONE, TWO], replace(SCHEMA, positive="No")),
        content_digest([ONE, TWO], replace(SCHEMA, subject="age")),
        content_digest([ONE, TWO], replace(SCHEMA, time="age")),
        content_digest([ONE, TWO], replace(SCHEMA, groups=("age",))),
    ]
    assert len(set(variants)) == len(variants)

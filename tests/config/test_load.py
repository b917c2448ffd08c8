"""Experiments load with the published values; every mistake is one line that names the key."""

from __future__ import annotations

import ast
import csv
import logging
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mstgt.config import config_from_text, dump_config, find_experiment, load, load_config, script_name
from mstgt.config.document import document
from mstgt.config.schema import SCHEMA, UNUSED_KEYS
from mstgt.utils.errors import UserError

TABLE = Path(__file__).parents[1] / "data" / "published_config.csv"
PUBLISHED = ("MSTGT-full-256", "MSTGT-got-256")
OWN_KEYS = {"MODEL.GUIDANCE.ATTENTION", "MODEL.HEAD.PRIOR_PROB", "TRAIN.FOCAL_WEIGHT", "TRAIN.WARMUP_STEPS",
            "TRAIN.SEED", "DATA.CURRICULUM", "MODEL.INIT", "TRAIN.PRECISION", "TRAIN.TF32", "TRAIN.ACCUMULATE",
            "TRAIN.EMA_DECAY", "TRAIN.COMPILE", "TRAIN.CHECKPOINT_ACTIVATIONS", "TRAIN.KEEP_CHECKPOINTS",
            "TEST.WIDEN_BELOW", "TEST.WIDEN_BY", "MODEL.TEMPLATE_MASK", "DA.negative_prob", "TRAIN.STEM_MULTIPLIER",
            "TRAIN.FROZEN_STAGES", "TEST.SIZE_SMOOTHING", "TEST.CALIBRATE_SIZE", "TEST.NARROW_SIZE",
            "TEST.NARROW_ABOVE", "TEST.NARROW_MOTION", "MODEL.ASYMMETRIC_ATTENTION", "TRAIN.TEACHER",
            "TRAIN.TEACHER_WEIGHT"}
DEFAULTS = config_from_text("")
DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
OWN_DEFAULTS = {"MODEL.BACKBONE.TYPE", "MODEL.PRETRAIN_FILE"}


def published(column: str) -> dict[str, object]:
    """The table's cells of one column as values; empty cells are left out."""
    rows = csv.DictReader(TABLE.read_text().splitlines(), delimiter=";")
    return {row["key"]: literal(row[column]) for row in rows if row[column]}


def literal(cell: str) -> object:
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError):
        return cell


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    found = {}
    for name, value in tree.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return found


def error_of(*overrides: str, config: str = "MSTGT-demo-128") -> str:
    with pytest.raises(UserError) as caught:
        load_config("mstgt", config, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def write_experiment(tmp_path):
    def write(text: str, name: str = "EXP") -> Path:
        (tmp_path / "MSTGT").mkdir(exist_ok=True)
        (tmp_path / "MSTGT" / f"{name}.yaml").write_text(text)
        return tmp_path
    return write


@pytest.mark.parametrize("config", PUBLISHED)
def test_published_files_hold_the_published_values_that_have_an_effect(config):
    wanted = {key: value for key, value in published(config).items() if key not in UNUSED_KEYS}
    assert flat(yaml.safe_load(find_experiment("mstgt", config).read_text())) == wanted


@pytest.mark.parametrize("config", PUBLISHED)
def test_the_files_as_they_were_published_load_to_the_same(config, write_experiment):
    experiments = write_experiment(yaml.safe_dump(published(config)))
    assert load_config("MSTGT", "EXP", (), experiments) == load_config("mstgt", config)


@pytest.mark.parametrize("config", PUBLISHED)
def test_published_experiments_resolve_to_the_published_values(config):
    resolved = flat(load_config("mstgt", config))
    wanted = {key: value for key, value in published(config).items() if key not in UNUSED_KEYS}
    assert {key: resolved[key] for key in wanted} == wanted
    assert not UNUSED_KEYS & set(resolved)


def test_defaults_are_the_published_ones_except_for_our_own():
    wanted, ours = published("default"), flat(DEFAULTS)
    assert set(wanted) == (set(ours) | UNUSED_KEYS) - OWN_KEYS
    assert {k: v for k, v in ours.items() if k in wanted and k not in OWN_DEFAULTS} == {
        k: v for k, v in wanted.items() if k in ours and k not in OWN_DEFAULTS}


def test_the_document_of_the_keys_is_up_to_date():
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_key_is_explained_in_one_line():
    for name, key in SCHEMA.items():
        assert key.help and "\n" not in key.help and "|" not in key.help, name


def test_defaults_obey_the_rules():
    assert set(flat(DEFAULTS)) == set(SCHEMA)
    assert flat(config_from_text(dump_config(DEFAULTS))) == flat(DEFAULTS)


def test_the_middle_of_a_long_name_is_left_out():
    with pytest.raises(UserError, match=r"unknown MODEL\.HEAD\.TYPE 'xx+\.\.\.x+' \(known: CENTER\)") as caught:
        config_from_text(f"MODEL: {{HEAD: {{TYPE: {'x' * 100_000}}}}}")
    assert len(str(caught.value)) < 500


def test_every_call_returns_a_new_object():
    first, second = load_config("mstgt", "MSTGT-demo-128"), load_config("mstgt", "MSTGT-demo-128")
    rate = second.TRAIN.LR
    first.TRAIN.LR = 7.0
    first.DATA.MEAN.append(1.0)
    first.DATA.TRAIN.DATASETS_NAME[0] = "changed"
    assert second.TRAIN.LR == rate != 7.0
    assert load_config("mstgt", "MSTGT-demo-128") == second
    assert len(DEFAULTS["DATA"]["MEAN"]) == 3


def test_unused_keys_are_said_once(caplog, monkeypatch, write_experiment):
    monkeypatch.setattr(load, "_said", set())
    experiments = write_experiment("TEST: {DYNAMIC_SIZE: 192, DYNAMIC_FACTOR: 3.0}")  # as in the published files
    with caplog.at_level(logging.WARNING):
        load_config("MSTGT", "EXP", (), experiments)
        load_config("MSTGT", "EXP", (), experiments)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1 and "keys without effect here" in lines[0] and "TEST.DYNAMIC_SIZE" in lines[0]


def test_experiments_of_the_project_load_without_a_warning(caplog, monkeypatch):
    monkeypatch.setattr(load, "_said", set())
    names = [path.stem for path in load.EXPERIMENTS_DIR.glob("MSTGT/*.yaml")]
    with caplog.at_level(logging.WARNING):
        for name in names:
            load_config("MSTGT", name)
    assert len(names) >= 6 and not caplog.records


def test_override_wins_over_file_over_default(write_experiment):
    root = write_experiment("TRAIN: {LR: 0.5, EPOCH: 3}")
    cfg = load_config("mstgt", "exp", ["TRAIN.EPOCH=4", "TRAIN.EPOCH=5"], experiments_dir=root)
    assert (cfg.TRAIN.LR, cfg.TRAIN.EPOCH, cfg.TRAIN.SEED) == (0.5, 5, 0)


def test_a_renamed_key_keeps_loading(write_experiment):
    experiments = write_experiment("MODEL: {TEMPLATE_MARK: 0.25}")
    assert load_config("MSTGT", "EXP", (), experiments).MODEL.TEMPLATE_MASK == 0.25
    assert load_config("MSTGT", "EXP", ["MODEL.TEMPLATE_MARK=0.75"], experiments).MODEL.TEMPLATE_MASK == 0.75
    old = dump_config(load_config("MSTGT", "EXP", (), experiments)).replace("TEMPLATE_MASK", "TEMPLATE_MARK")
    assert config_from_text(old).MODEL.TEMPLATE_MASK == 0.25


@pytest.mark.parametrize(("override", "key", "value"), [
    ("TRAIN.LR=1e-3", "TRAIN.LR", 1e-3),
    ("TRAIN.LR=1", "TRAIN.LR", 1.0),
    ("MODEL.GUIDANCE.ATTENTION=global", "MODEL.GUIDANCE.ATTENTION", "global"),
    ("DATA.TRAIN.DATASETS_NAME=[LASOT]", "DATA.TRAIN.DATASETS_NAME", ["LASOT"]),
    ("DA.sfactor=[2, 6e0]", "DA.sfactor", [2.0, 6.0]),
    ("TRAIN.COMPILE=true", "TRAIN.COMPILE", True),
    ("DA.norm_type=none", "DA.norm_type", "none"),
    ("MODEL.PRETRAIN_FILE=", "MODEL.PRETRAIN_FILE", ""),
    ("MODEL.PRETRAIN_FILE=null", "MODEL.PRETRAIN_FILE", ""),
    ("MODEL.PRETRAIN_FILE=None", "MODEL.PRETRAIN_FILE", ""),
    ("DATA={SEARCH: {SIZE: 64}}", "DATA.SEARCH.SIZE", 64),
])
def test_overrides(override, key, value):
    got = flat(load_config("mstgt", "MSTGT-demo-128", [override]))[key]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(("override", "parts"), [
    ("TRAIN.EPOCHS=1", ["unknown key TRAIN.EPOCHS", "TRAIN.EPOCH?"]),
    ("train.lr=1", ["unknown key train.lr", "TRAIN.LR?"]),
    ("LR=1", ["unknown key LR", "TRAIN.LR?"]),
    ("TRIAN={LR: 1}", ["unknown key TRIAN.LR", "TRAIN.LR?"]),
    ("=1", ["KEY=VALUE"]),
    ("TRAIN.LR", ["KEY=VALUE"]),
    ("TRAIN=3", ["TRAIN is a section", "TRAIN.LR"]),
    ("TRAIN=0", ["TRAIN is a section"]),
    ("TRAIN.LR=fast", ["TRAIN.LR", "a number", "text 'fast'"]),
    ("TRAIN.LR=.nan", ["TRAIN.LR", "a number"]),
    ("TRAIN.LR=true", ["TRAIN.LR", "a number", "true/false"]),
    ("TRAIN.LR={a: 1}", ["TRAIN.LR", "a number", "section"]),
    ("TRAIN.EPOCH=true", ["TRAIN.EPOCH", "a whole number", "true/false"]),
    ("TRAIN.EPOCH=1.0", ["TRAIN.EPOCH", "a whole number"]),
    ("TRAIN.EPOCH=", ["TRAIN.EPOCH", "a whole number", "nothing"]),
    ("TRAIN.COMPILE=1", ["TRAIN.COMPILE", "true or false"]),
    ("DATA.TRAIN.DATASETS_NAME=LASOT", ["must be a list", "text"]),
    ("DATA.TRAIN.DATASETS_NAME=[3]", ["DATA.TRAIN.DATASETS_NAME[0]", "text", "whole number 3"]),
    ("DATA.TRAIN.DATASETS_NAME=[A, B]", ["DATASETS_RATIO", "DATASETS_NAME", "2 names"]),
    ("DATA.TRAIN.DATASETS_NAME=[]", ["at least one name"]),
    ("DATA.TRAIN.DATASETS_RATIO=[0]", ["not all 0"]),
    ("DATA.MEAN=[1, 2]", ["DATA.MEAN", "3 elements"]),
    ("DATA.STD=[1, 1, 0]", ["DATA.STD", "greater than 0"]),
    ("DA.sfactor=[6, 2]", ["DA.sfactor", "lower first"]),
    ("DA.norm_type=globl", ["DA.norm_type", "did you mean 'global'", "none"]),
    ('MODEL.PRETRAIN_FILE="a\\nb"', ["MODEL.PRETRAIN_FILE must be the name or path of a file"]),
    ('MODEL.PRETRAIN_FILE="a\\0b"', ["MODEL.PRETRAIN_FILE must be the name or path of a file"]),
    ("MODEL.GUIDANCE.ATTENTION=group", ["did you mean 'grouped'"]),
    ("MODEL.BACKBONE.TYPE=vit_base_patch16_224", ["hivit_base"]),
    ("TRAIN.OPTIMIZER=SGD", ["ADAMW"]),
    ("DATA.SEARCH.SIZE=200", ["multiple of 16"]),
    ("DATA.SEARCH.SIZE=0", ["multiple of 16"]),
    ("TEST.NARROW_SIZE=112", ["TEST.NARROW_SIZE 112 does not fit TEST.SEARCH_SIZE 128", "multiple of 32"]),
    ("TEST.NARROW_SIZE=128", ["TEST.NARROW_SIZE 128 does not fit", "smaller"]),
    ("TEST.NARROW_SIZE=60", ["multiple of 16"]),
    ("TRAIN.EPOCH=0", ["at least 1"]),
    ("TRAIN.LR=-1", ["at least 0"]),
    ("TRAIN.LR={a: 1", ["not valid YAML"]),
    ("DATA={SEARCH: {SIZE: 64, SIZE: 128}}", ["SIZE is given twice"]),
])
def test_mistakes_are_named(override, parts):
    message = error_of(override)
    assert f"--set {override}"[:20] in message or "with --set" in message
    for part in parts:
        assert part in message


def test_mistakes_in_a_file_name_the_file_and_the_line(write_experiment):
    root = write_experiment("TRAIN:\n  LR: 1\n  EPOCH: [1\n")
    with pytest.raises(UserError, match=r"EXP\.yaml, line 4: not valid YAML"):
        load_config("mstgt", "EXP", experiments_dir=root)
    write_experiment("TRAIN:\n  LR: 1\n  LR: 2\n")
    with pytest.raises(UserError, match=r"EXP\.yaml, line 3: LR is given twice"):
        load_config("mstgt", "EXP", experiments_dir=root)
    write_experiment("TRAIN:\n  LRR: 1\n")
    with pytest.raises(UserError, match=r"EXP\.yaml: unknown key TRAIN\.LRR; did you mean TRAIN\.LR\?"):
        load_config("mstgt", "EXP", experiments_dir=root)


@pytest.mark.parametrize("text", ["- a", "3", "!!python/object/apply:os.system [ls]", "&a {DATA: *a}", "[" * 5000,
                                  "\x00", "2024-99-99", "? [1]\n: 2", "&a [*a]"])
def test_odd_texts_are_user_errors(text):
    with pytest.raises(UserError) as caught:
        config_from_text(text, "ck.pth")
    assert str(caught.value).startswith("ck.pth") and "\n" not in str(caught.value)


def test_empty_file_is_the_defaults(write_experiment):
    assert flat(load_config("mstgt", "EXP", experiments_dir=write_experiment("TRAIN:\n"))) == flat(DEFAULTS)


@pytest.mark.parametrize("config", [*PUBLISHED, "MSTGT-demo-128", "MSTGT-nano-128", "MSTGT-mini-128",
                                    "MSTGT-nano", "MSTGT-nano-slim", "MSTGT-mini"])
def test_dump_reads_back(config):
    cfg = load_config("mstgt", config, ["TRAIN.LR=1.23456789e-7"])
    text = dump_config(cfg)
    assert config_from_text(text) == cfg and dump_config(config_from_text(text)) == text
    assert list(yaml.safe_load(text)) == list(DEFAULTS)


def test_saved_text_is_strict_and_says_absent_keys(caplog):
    with pytest.raises(UserError, match=r"run/config\.yaml: unknown key TRAIN\.NEW"):
        config_from_text("TRAIN: {NEW: 1}", "run/config.yaml")
    config_from_text(dump_config(DEFAULTS).replace("  SEED: 0\n", ""))
    assert [r.getMessage() for r in caplog.records][-1].endswith("defaults: TRAIN.SEED")


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_any_rate_reads_back_exactly(rate):
    for text in (repr(rate), f"{rate:.17e}"):
        cfg = load_config("mstgt", "MSTGT-demo-128", [f"TRAIN.LR={text}"])
        assert rate == cfg.TRAIN.LR and type(cfg.TRAIN.LR) is float
    assert rate == config_from_text(dump_config(cfg)).TRAIN.LR


@given(st.sampled_from(sorted(flat(DEFAULTS))), st.text(max_size=30))
def test_no_value_ends_in_anything_but_a_config_or_a_user_error(key, text):
    try:
        cfg = load_config("mstgt", "MSTGT-demo-128", [f"{key}={text}"])
    except UserError as error:
        assert key.rpartition(".")[0].split(".")[0] in str(error)
    else:
        assert config_from_text(dump_config(cfg)) == cfg


@pytest.mark.parametrize(("script", "config"), [("mstgt", "mstgt-FULL-256"), ("MSTGT", "MSTGT-full-256")])
def test_names_are_case_insensitive(script, config):
    assert find_experiment(script, config).parts[-2:] == ("MSTGT", "MSTGT-full-256.yaml")
    assert script_name(script) == "mstgt"


@pytest.mark.parametrize(("script", "config", "parts"), [
    ("mstg", "MSTGT-full-256", ["script 'mstg'", "did you mean 'MSTGT'"]),
    ("mstgt", "MSTGT-ful-256", ["'MSTGT-ful-256'", "did you mean 'MSTGT-full-256'", "MSTGT-demo-128"]),
    ("mstgt", "../MSTGT/MSTGT-full-256", ["not a path"]),
    ("..", "MSTGT-full-256", ["not a path"]),
    ("mstgt", "a\\b", ["not a path"]),
    ("mstgt", "", ["not a path"]),
])
def test_unknown_names_list_the_known(script, config, parts):
    with pytest.raises(UserError) as caught:
        find_experiment(script, config)
    for part in parts:
        assert part in str(caught.value)

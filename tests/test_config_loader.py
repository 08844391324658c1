"""The file on disk: what it may be called, hold and point to."""

import re

import pytest

from gateway.config import ConfigError
from gateway.config_loader import load_config

KEY = "correct-horse-battery"


def test_a_relative_key_file_stands_beside_the_configuration(tmp_path):
    (tmp_path / "cluster.key").write_text(KEY + "\n")
    path = tmp_path / "gateway.toml"
    path.write_text('[cluster]\nname = "home"\nkey_file = "cluster.key"\n')
    cluster = load_config(path).cluster
    assert cluster is not None
    assert cluster.key == KEY
    path.write_text(f'[cluster]\nname = "home"\nkey_file = "{tmp_path}/cluster.key"\n')
    assert load_config(str(path)).cluster == cluster


def test_a_gateway_without_a_name_has_the_host_name(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_text("")
    assert re.fullmatch(r"[A-Za-z0-9-]{1,63}", load_config(path).gateway.name)
    path.write_text('[gateway]\nname = "gw1"\n')
    assert load_config(path).gateway.name == "gw1"


def test_a_file_that_is_not_there_is_a_problem_like_any_other(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "gateway.toml")
    (line,) = caught.value.lines()
    assert line == (
        f"{tmp_path}/gateway.toml:1: the file cannot be read: No such file or directory; "
        "name another file with --config"
    )


def test_bytes_that_are_no_text_are_found_on_their_line(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"# one\n# two\n# \xff\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.text) == (3, "this is not UTF-8")


def test_a_key_file_that_is_no_text_is_a_problem_of_its_key(tmp_path):
    (tmp_path / "cluster.key").write_bytes(b"\xff" * 32)
    path = tmp_path / "gateway.toml"
    path.write_text('[cluster]\nname = "home"\nkey_file = "cluster.key"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (3, "cluster.key_file")


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path):
    path = tmp_path / "gateway.toml"
    path.write_bytes(b'\xef\xbb\xbf[gateway]\r\nname = "gw1"\r\n')
    assert load_config(path).gateway.name == "gw1"
    path.write_bytes(b"\xef\xbb\xbf[gateway]\r\nname = 1\r\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.problems[0].line == 2

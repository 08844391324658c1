"""The configuration as the document of `gwctl config`."""

import json

import pytest

from gateway.config import Config
from gateway.config_document import differences, from_document, to_document
from gateway.config_file import parse
from tools.config_doc import EXAMPLE

SECRET = "correct-horse-battery"


def example() -> Config:
    return parse(EXAMPLE, "example", lambda name: SECRET)


def test_every_value_comes_back_and_the_key_does_not() -> None:
    config = example()
    assert config.cluster is not None and config.serial
    written = json.dumps(to_document(config))
    assert SECRET not in written
    back = from_document(json.loads(written))
    assert to_document(back) == to_document(config)
    assert back.cluster is not None and back.cluster.key == ""
    assert (back.gateway, back.mqtt, back.serial) == (config.gateway, config.mqtt, config.serial)
    assert back.durability == config.durability != ()


def test_a_gateway_alone_has_no_cluster() -> None:
    assert from_document(json.loads(json.dumps(to_document(Config())))) == Config()


def test_keys_of_another_version_do_no_harm() -> None:
    document = {"mqtt": {"port": 1884, "colour": "red"}, "weather": {"rain": True}}
    config = from_document(document)
    assert config.mqtt.port == 1884
    assert config.gateway == Config().gateway


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(ValueError, match="not an object"):
        from_document({"mqtt": 7})


def test_differences_are_named_as_keys() -> None:
    one = to_document(Config())
    assert differences(one, to_document(Config())) == []
    other = to_document(parse('[mqtt]\nport = 1884\n[gateway]\nname = "x"\n', "f"))
    assert differences(one, other) == ["gateway.name", "mqtt.port"]
    assert "cluster.link_port" in differences(one, to_document(example()))

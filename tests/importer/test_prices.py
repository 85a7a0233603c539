"""What is read of pi's models.json: prices and base URLs, as pi takes them, and nothing else."""

from __future__ import annotations

import pytest

from importer.prices import NO_PRICES, Price, PriceTier, is_local_url, load_prices, read_prices
from tests.pricing import write_models


def test_prices_that_the_file_tells_whole_are_read(tmp_path):
    prices = read_prices(write_models(tmp_path))
    tier = PriceTier(4, 12, 0.4, 5, input_tokens_above=200_000)
    assert prices.prices == {
        ("mine", "gpt-mine"): Price(2, 8, 0.2, 2.5, (tier,)),
        ("anthropic", "claude-old"): Price(3, 15, 0.3, 3.75),
    }
    assert (prices.path, prices.found, prices.problem) == (str(tmp_path / "models.json"), True, "")


def test_an_override_changes_some_rates_of_a_model_of_the_file(tmp_path):
    models = '"models":[{"id":"m","cost":{"input":1,"output":2,"cacheRead":3,"cacheWrite":4}}]'
    override = '"modelOverrides":{"m":{"cost":{"output":9}}}'
    path = write_models(tmp_path, f'{{"providers":{{"p":{{{models},{override}}}}}}}')
    assert read_prices(path).prices == {("p", "m"): Price(1, 9, 3, 4)}


def test_the_file_stands_in_pis_agent_folder(tmp_path):
    path = write_models(tmp_path / "elsewhere")
    assert load_prices({"PI_CODING_AGENT_DIR": str(path.parent)}) == read_prices(path)
    own = write_models(tmp_path / ".pi" / "agent")
    assert load_prices({"HOME": str(tmp_path)}).path == str(own)


def test_a_missing_file_gives_no_prices_and_no_problem(tmp_path):
    prices = read_prices(tmp_path / "models.json")
    assert (prices.prices, prices.local, prices.found, prices.problem) == ({}, {}, False, "")
    assert NO_PRICES.prices == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"providers":[]}',
        '{"providers":{"p":7}}',
        '{"providers":{"p":{"baseUrl":7}}}',
        '{"providers":{"p":{"models":[{"cost":{}}]}}}',
        '{"providers":{"p":{"models":[{"id":"m","cost":{"input":1}}]}}}',
        '{"providers":{"p":{"models":[{"id":"m","cost":{"input":"$RATE","output":1}}]}}}',
        '{"providers":{"p":{"models":[{"id":"m","cost":{"input":1e999}}]}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_gives_no_prices_and_one_line(tmp_path, content):
    prices = read_prices(write_models(tmp_path, content))
    assert (prices.prices, prices.local) == ({}, {})
    assert prices.problem.startswith(f"{tmp_path / 'models.json'} gives no prices: ")
    assert "\n" not in prices.problem


def test_a_file_that_cannot_be_read_or_is_no_text_gives_one_line(tmp_path):
    assert "gives no prices" in read_prices(tmp_path).problem
    path = write_models(tmp_path)
    path.write_bytes(b"\xff\xfe{")
    assert "not UTF-8" in read_prices(path).problem


def test_what_is_wrong_names_no_key(tmp_path):
    path = write_models(tmp_path, '{"providers":{"p":{"apiKey":"sk-secret","models":"sk-secret"}}}')
    assert "sk-secret" not in read_prices(path).problem


@pytest.mark.parametrize("rate", ["-1", "1e15"])
def test_rates_that_are_no_price_leave_only_their_model_out(tmp_path, rate):
    cost = '{"input":%s,"output":1,"cacheRead":1,"cacheWrite":1}'
    models = f'[{{"id":"odd","cost":{cost % rate}}},{{"id":"m","cost":{cost % 2}}}]'
    path = write_models(tmp_path, f'{{"providers":{{"p":{{"models":{models}}}}}}}')
    assert read_prices(path).prices == {("p", "m"): Price(2, 1, 1, 1)}


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:11434/v1", True),
        ("http://LOCALHOST", True),
        ("http://gpu.localhost", True),
        ("http://tower.local:1234/v1", True),
        ("http://host.docker.internal:8080", True),
        ("http://127.0.0.2:80", True),
        ("http://0.0.0.0:8000", True),
        ("http://[::1]:8000", True),
        ("http://[::ffff:10.0.0.1]/", True),
        ("http://[fd00::7]/", True),
        ("http://10.1.2.3", True),
        ("http://172.16.0.1", True),
        ("http://172.32.0.1", False),
        ("http://192.168.0.9/v1", True),
        ("http://192.169.0.9/v1", False),
        ("https://api.openai.com/v1", False),
        ("https://localhost.example.com", False),
        ("https://local.example.com", False),
        ("https://10.example.com", False),
        ("https://203.0.113.7", False),
        ("http://[2606:4700::1111]", False),
        ("$BASE_URL", False),
        ("!echo http://localhost", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_only_this_machine_and_private_networks_are_local(url, local):
    assert is_local_url(url) is local

"""Secrets inside strings are masked; what is around them, or only looks like one, stays."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.build.masking import mask_secrets
from importer.build.redaction import REDACTED, Redactor
from tests.command import ROOT


def jumble(length: int, alphabet: str = "a1B2c3D4e5F6") -> str:
    return (alphabet * length)[:length]


HEX = jumble(64, "0f1e2d3c4b5a")
CLAIMS = [
    base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256"}', b'{"sub":"12"}')
]

# Put together here, so that no scanner takes this file for a leak.
TOKENS = {
    "GitHub, classic": "ghp" + "_" + jumble(36),
    "GitHub, OAuth": "gho" + "_" + jumble(36),
    "GitHub, server": "ghs" + "_" + jumble(36),
    "GitHub, longer than today's": "ghs" + "_" + jumble(60),
    "GitHub, fine-grained": "github" + "_pat_" + jumble(22) + "_" + jumble(59),
    "GitLab": "glpat" + "-" + jumble(20),
    "GitLab, routable": "glpat" + "-" + jumble(60) + ".01." + jumble(9),
    "AWS key id": "AKIA" + "A1B2C3D4E5F6G7H8",
    "AWS session key id": "ASIA" + "A1B2C3D4E5F6G7H8",
    "Slack bot": "xoxb" + "-123456789012-123456789012-" + jumble(24),
    "Slack app": "xapp" + "-1-A0123456789-1234567890123-" + jumble(40),
    "Slack webhook": "https://hooks.slack.com/" + "services/T0123ABCD/B0123ABCD/" + jumble(24),
    "Stripe": "sk" + "_live_" + jumble(24),
    "Stripe, long": "rk" + "_live_" + jumble(99),
    "OpenAI, legacy": "sk" + "-" + jumble(20) + "T3Blbk" + "FJ" + jumble(20),
    "OpenAI, project": "sk" + "-proj-" + jumble(60) + "-_" + jumble(40),
    "Anthropic": "sk" + "-ant-api03-" + jumble(93) + "AA",
    "OpenRouter": "sk" + "-or-v1-" + HEX,
    "Google": "AIza" + jumble(35),
    "npm": "npm" + "_" + jumble(36),
    "PyPI": "pypi" + "-AgEIcHlwaS5vcmc" + jumble(80),
    "SendGrid": "SG" + "." + jumble(22) + "." + jumble(43),
    "Twilio": "SK" + HEX[:32],
    "Telegram": "1234567890" + ":AA" + jumble(33),
    "Hugging Face": "hf" + "_" + jumble(34),
    "Groq": "gsk" + "_" + jumble(52),
    "PostHog project": "phc" + "_" + jumble(43),
    "PostHog personal": "phx" + "_" + jumble(43),
    "JWT": ".".join([*CLAIMS, jumble(43)]),
    "JWT, unsigned": ".".join([*CLAIMS, ""]),
}
AROUND = [
    "{}",
    "it is {}, they say",
    "curl -H 'X-Thing: {}' https://example.com",
    "https://example.com/?q=1&k={}&z=2",
    "https://{}@github.com/a/b.git",
    '{{"note": "one\\n{}\\ntwo"}}',
    "line\r\n{}\r\nline",
    "({})",
    "run `{}` now",
]


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize("around", AROUND)
def test_a_token_of_a_known_form_is_masked_wherever_it_stands(kind, around):
    if kind == "Slack webhook" and ("@" in around or "https" in around):
        pytest.skip("a URL within a URL")
    assert mask_secrets(around.format(TOKENS[kind])) == around.format(REDACTED)


def private_key(kind: str = "RSA ", lines: int = 5, end: str = "\n") -> str:
    body = [base64.b64encode(hashlib.sha512(bytes([n])).digest()[:48]).decode() for n in range(lines)]
    block = " PRIVATE KEY" + (" BLOCK" if kind == "PGP " else "")
    armor = ("-----BEGIN " + kind.strip() + block).replace("  ", " ") + "-----"
    return end.join([armor, *body, "Zm9vYmFy=", armor.replace("BEGIN", "END")]) + end


@pytest.mark.parametrize("kind", ["RSA ", "EC ", "DSA ", "OPENSSH ", "PGP ", "ENCRYPTED ", ""])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", "\\r\\n"])
def test_a_private_key_is_masked_from_its_first_line_to_its_last(kind, end):
    block = private_key(kind, end=end)
    assert mask_secrets(f"before {block}after") == f"before {REDACTED}{end}after"
    assert mask_secrets(block + block) == (REDACTED + end) * 2


def test_a_private_key_that_was_cut_off_is_masked_as_far_as_it_goes():
    whole = private_key(lines=5)
    for length in range(70, len(whole)):
        rest = mask_secrets(whole[:length]).replace(REDACTED, "")
        assert not any(line in rest for line in whole.split("\n")[1:6]), length
    assert mask_secrets(whole[:300] + "\n\n[cut]") == f"{REDACTED}\n\n[cut]"


def test_what_follows_the_name_of_a_private_key_stays():
    code = 'if line == "-----BEGIN RSA ' + 'PRIVATE KEY-----":\n    return "a private key"\n' * 3
    assert mask_secrets(code) == code
    begin, end = ("-----" + word + " PRIVATE KEY-----" for word in ("BEGIN", "END"))
    code = f'return text.startswith("{begin}") and text.endswith("{end}")'
    assert mask_secrets(code) == code


JUMBLE = jumble(24)

# the secret is what stands between the marks
IN_CONTEXT = [
    # headers
    f"Authorization: Bearer «{JUMBLE}»",
    "authorization: bearer «x1y2z3»",
    "Authorization: Basic «dXNlcjpwYXNz»",
    "Authorization: token «0123456789abcdef»",
    f"Authorization: «{JUMBLE}»",
    f"curl -H 'Authorization: Bearer «{JUMBLE}»' https://api.example.com",
    f'{{"Authorization": "Bearer «{JUMBLE}»"}}',
    f'headers.set("Authorization", "Bearer «{JUMBLE}»")',
    f'{{\\"Authorization\\": \\"Bearer «{JUMBLE}»\\"}}',
    f"WWW: Bearer «{JUMBLE}»",
    f"X-Api-Key: «{JUMBLE}»",
    "Cookie: «session=abc123def456; theme=dark»",
    "curl -H 'Cookie: «sid=abc123def456»' https://example.com",
    "Set-Cookie: «sid=abc123def456; Path=/»",
    # URLs
    "https://user:«hunter2»@example.com/x",
    "postgres://app:«s3cr3t»@db:5432/main?sslmode=require",
    "redis://:«hunter2»@localhost:6379",
    "DATABASE_URL=postgres://app:«pa@ss»@db/main",
    "git clone https://x-access-token:«whatever»@github.com/a/b.git",
    # shell
    "export FOO_TOKEN=«abc123»",
    "export FOO_TOKEN='«abc123def»'",
    'export FOO_TOKEN="«abc123def»" && ./run',
    "API_KEY=«supersecret» ./run",
    "docker run -e POSTGRES_PASSWORD=«hunter» postgres",
    "PGPASSWORD=«hunter» psql -U app",
    "DB_PASS=«hunter»",
    f"AWS_SECRET_ACCESS_KEY=«{jumble(40, 'aB1/cD2+')}»",
    "./run --token «abc123def» --verbose",
    "./run --password «hunter2»",
    "./run --password='«correct-horse»'",
    "./run --password '«correct-horse»'",
    "./run --db-password=«hunter»",
    "./run --api-key=«secretvalue» x",
    "mysql -u root -p«hunter2» shop",
    "mysqldump --all -p'«hunter2»' > dump.sql",
    "sshpass -p «hunter2» ssh host",
    "sshpass -p '«hunter2»' ssh host",
    "docker login -u ada -p «hunter2» registry.example.com",
    "redis-cli -h cache -a «hunter2» ping",
    "curl -u ada:«hunter2» https://example.com",
    "curl -s \\\n  --user 'ada:«hunter2»' https://example.com",
    "curl 'https://example.com/?api_key=«abc123def456»&x=1'",
    "curl -d password=«hunter2» https://example.com",
    # JSON, YAML, INI and code, in a text
    '{"api_key":"«abc123def456»"}',
    '{"user": "ada", "password": "«hunter»"}',
    '{\\"api_key\\": \\"«abc123def456»\\", \\"n\\": 1}',
    '{\n  "accessToken" : "«abc123def456»"\n}',
    "password: «hunter2»\nuser: ada",
    "  client_secret: «abc123def456ghi7»",
    "password = «hunter2»",
    f"aws_secret_access_key = «{jumble(40, 'aB1/cD2+')}»",
    "const token = '«abc123def456»';",
    "const apiKey: string = `«abc123def456»`",
    'api_key="«abc123def456»", timeout=3',
    '"secret" => "«abc123def456»"',
    "//registry.npmjs.org/:_authToken=«abc123-def456»",
]


@pytest.mark.parametrize("marked", IN_CONTEXT)
def test_only_the_secret_is_masked_and_what_tells_of_it_stays(marked):
    before, _, rest = marked.partition("«")
    secret, _, after = rest.partition("»")
    assert mask_secrets(f"{before}{secret}{after}") == f"{before}{REDACTED}{after}"


def test_every_secret_of_a_text_is_masked():
    texts = [marked.replace("«", "").replace("»", "") for marked in IN_CONTEXT]
    masked = [marked.partition("«")[0] + REDACTED + marked.partition("»")[2] for marked in IN_CONTEXT]
    assert mask_secrets("\n\n".join(texts)) == "\n\n".join(masked)


LOOK_ALIKES = [
    "token = get_token()",
    "token=get_token(user2)",
    "def login(user: str, password: str) -> Token:",
    "interface Login { password: string; token?: string | null }",
    "client = Client(api_key=api_key, token=settings.auth2.token)",
    "api_key = os.environ['API_KEY_2']",
    'api_key = os.environ["OPENAI_API_KEY"]',
    'headers = {"Authorization": f"Bearer {token}"}',
    "Authorization: Bearer $TOKEN",
    "Authorization: Bearer <your-token>",
    "Authorization: Bearer ${{ secrets.GITHUB_TOKEN }}",
    "Authorization: Bearer YOUR_API_TOKEN",
    "the bearer of good news, bearer authentication",
    "export FOO_TOKEN=$(pass show foo)",
    'export FOO_TOKEN="$BAR_TOKEN"',
    "export FOO_TOKEN=<your token>",
    "export FOO_TOKEN=your-token-here",
    "API_KEY=xxxxxxxxxxxx",
    "PWD=/home/ada/work2 OLDPWD=/tmp",
    "PASSWORD_MIN_LENGTH=8",
    "max_tokens=4096 MAX_TOKENS=4096 total_tokens: 12345",
    '"usage": {"input_tokens": 1234, "cache_tokens": 5678}',
    "if token == TOKEN_END: break",
    'raise ValueError("token: expected string, got number")',
    '{"type": "password", "name": "password", "label": "Password"}',
    '{"password": {"type": "string", "description": "The password"}}',
    'password: "Enter your password"',
    "password: the user's password",
    "use --token to pass a token, or --password for a password",
    "--token TOKEN   the token",
    "--password-file /run/secrets/db2",
    "https://example.com:8080/@scope/package@1.2.3",
    "https://user:$PASSWORD@example.com and https://${USER}:${PASS}@example.com",
    "git@github.com:ada/shop.git",
    "mailto:ada@example.com, ada:42 bob@example.com",
    "mysql -p shop < dump.sql && mkdir -p a/b2",
    "ssh -p 2222 host; docker run -p 8080:80 web; curl -u $USER:$PASS x",
    "curl https://example.com\ngit push -u origin:main2",
    "disk-usage-of-the-whole-machine-1",
    "sk-learn-like-names-with-many-words",
    ".sk-folding-cube-with-many-words { }",
    "npm_config_registry npm_package_json npm_lifecycle_script",
    "hf_hub_download and gsk_ and AIza and AKIA and eyJ and SK",
    "secret: Uint8Array, token: Int32Array",
    "secretName: my-secret-2",
    "authorization=None, cookie=None, token=None, secret=True",
    "for key in keys: key = sha256(key1)",
    "primary_key=user_id2, foreign_key: account1_user2_id3x",
    "https://docs.example.com/token=auth",
    "tokenizer = 'bert-base-uncased-2'",
    str(uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF)),
    f"commit {hashlib.sha1(b'x').hexdigest()}",
    f"sha256:{hashlib.sha256(b'x').hexdigest()}",
    f'"integrity": "sha512-{base64.b64encode(hashlib.sha512(b"x").digest()).decode()}"',
    f"github.com/a/b v1.2.3 h1:{base64.b64encode(hashlib.sha256(b'x').digest()).decode()}",
    "//# sourceMappingURL=data:application/json;base64,"
    + base64.b64encode(b'{"version":3,"a":"bcd"}').decode(),
    "2026-11-23T16:46:20.123Z 0195500a-0000-7000-8000-000000000001",
]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_a_secret_stays(text):
    assert mask_secrets(text) == text
    quoted = json.dumps({"output": text})
    assert mask_secrets(quoted) == quoted


def test_this_projects_own_code_holds_no_secret():
    for path in (*(ROOT / "importer").glob("*.py"), *(ROOT / "parsers").glob("*.py")):
        assert mask_secrets(path.read_text()) == path.read_text(), path


PIECES = st.one_of(
    st.sampled_from([*TOKENS.values(), *(marked.replace("«", "").replace("»", "") for marked in IN_CONTEXT)]),
    st.sampled_from(
        [*LOOK_ALIKES, REDACTED, "token=", "password:", "--token", "://", "@", "key", '"', "'", "="]
    ),
    st.text(max_size=12),
    st.text(alphabet="aB1-_./:=@\"'\\ \n$[", max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=8), st.sampled_from(["", " ", "\n", "\\n", ":", "="]))
def test_masking_twice_is_masking_once(pieces, separator):
    once = mask_secrets(separator.join(pieces))
    assert mask_secrets(once) == once


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=":=@-_. \t")))
def test_a_text_without_a_sign_of_a_secret_stays(text):
    assert mask_secrets(text) == text


HOSTILE = [
    *("a", "=", "sk-", "eyJ", "eyJaaaaaaaaa.", "token=", "token:", 'token="', "token='token=\"", "TOKEN=$"),
    *("--token ", "api_key=", "token=a.", "token=my-", "_pass=", "key=", '"key": ', "token\\", "password"),
    *(
        "://",
        "://a:",
        "://a:b@",
        "bearer ",
        "bearer a1",
        "Authorization: Bearer ",
        "authorization=",
        "Cookie: a=",
    ),
    *("mysql -", "curl ", "curl -u ", "curl -u a:", "curl\\\n", "docker login ", "\\n", "\\nsk-", "\t"),
    *(
        "-----BEGIN ",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "PRIVATE KEY",
        "xoxb-",
        "xoxb-1-",
        "SG.",
        "glpat-",
    ),
    *(
        "glagent-",
        "ghp_",
        "AKIA",
        "AccountKey=",
        "https://hooks.slack.com/services/T",
        "123456789:AA",
        "hvs.",
    ),
]


@pytest.mark.parametrize("seed", HOSTILE)
def test_a_hostile_text_takes_no_longer_than_its_length_calls_for(seed):
    """Work that grew with the square of the length would take minutes."""
    text = (seed * 200_000)[:200_000]
    once = mask_secrets(text)
    assert mask_secrets(once) == once


@pytest.mark.parametrize("before", ["İ", "ß", "ﬁ", "😀", "Σ", "ς"])
def test_letters_of_other_lengths_in_small_do_not_shift_the_mask(before):
    text = f"{before * 50} API_KEY="
    assert mask_secrets(text + "abc123def456 rest") == text + f"{REDACTED} rest"


def test_a_secret_is_masked_before_a_text_is_cut():
    secret = TOKENS["Anthropic"]
    for length in (5, 20, 40, 80):
        for text in (f"say {secret}", f"say {secret} {'.' * 200}"):
            assert "sk-" not in Redactor(length).text(text)
            assert "sk-" not in (Redactor(length).state({"say": text}) or "")


def test_a_secret_that_is_a_key_is_masked():
    assert Redactor(200).state({TOKENS["npm"]: 1}) == '{"[REDACTED]":1}'


def test_nothing_is_loaded_for_a_text_without_a_known_prefix():
    masked = "from importer.build.masking import mask_secrets; mask_secrets('token=abc123def456 sk-')"
    code = f"import sys; {masked}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"detect_secrets", "requests", "yaml"} & set(done.stdout.split())

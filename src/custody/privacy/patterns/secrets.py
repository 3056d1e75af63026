"""Keys, tokens, passwords and wallets."""

from custody.privacy.patterns.checks import BITCOIN, RANDOM
from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.shapes import END, START

_B64 = r"[A-Za-z0-9_\-]"
_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_\- ]?key|access[_\- ]?key|auth(?:orization)?[_\- ]?(?:key|token)|"
    r"client[_\- ]?secret|private[_\- ]?key|account[_\- ]?key|signing[_\- ]?key|encryption[_\- ]?key|passwort|kennwort|contraseña|"
    r"mot de passe|senha|wachtwoord|пароль|密码|パスワード)"
)
# issuers' own prefixes: the name of the row, then the shape
_PREFIXED = (
    ("aws", r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|ABIA|ACCA)[A-Z0-9]{16}"),
    ("github", r"gh[pousr]_[A-Za-z0-9]{36,255}"),
    ("github.fine", r"github_pat_[A-Za-z0-9_]{22,255}"),
    ("gitlab", rf"gl(?:pat|dt|rt|cbt|ptt|ft|soat)-{_B64}{{20,64}}"),
    ("slack", r"xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9\-]{11,255}"),
    ("slack.hook", r"hooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,32}"),
    ("stripe", r"(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{16,255}"),
    ("google", rf"AIza{_B64}{{35}}"),
    ("google.oauth", rf"(?:ya29\.{_B64}{{20,512}}|GOCSPX-{_B64}{{28}})"),
    ("openai", rf"sk-(?:proj-|svcacct-|admin-|ant-|or-)?{_B64}{{20,255}}"),
    ("huggingface", r"(?:hf|api_org)_[A-Za-z0-9]{30,48}"),
    ("npm", r"npm_[A-Za-z0-9]{36}"),
    ("package", rf"pypi-AgE{_B64}{{50,512}}"),
    ("sendgrid", rf"SG\.{_B64}{{16,32}}\.{_B64}{{32,64}}"),
    ("mailgun", r"key-[0-9a-f]{32}"),
    ("mailchimp", r"[0-9a-f]{32}-us\d{1,2}"),
    ("twilio", r"(?:AC|SK|AP)[0-9a-f]{32}"),
    ("telegram", rf"\d{{8,10}}:AA{_B64}{{33}}"),
    ("discord", rf"[MNO][A-Za-z0-9]{{23,27}}\.{_B64}{{6}}\.{_B64}{{27,38}}"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{64}"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("square", rf"sq0[a-z]{{3}}-{_B64}{{22,43}}"),
    ("atlassian", rf"ATATT3{_B64}{{20,255}}=?[A-F0-9]{{0,8}}"),
    ("linear", r"lin_(?:api|oauth)_[A-Za-z0-9]{32,64}"),
    ("notion", r"(?:ntn_[A-Za-z0-9]{40,50}|secret_[A-Za-z0-9]{43})"),
    ("databricks", r"dapi[0-9a-f]{32}(?:-\d)?"),
    ("vault", rf"hv[sbr]\.{_B64}{{20,255}}"),
    ("doppler", r"dp\.(?:pt|st|sa|ct|scim|audit)\.[A-Za-z0-9]{40,44}"),
    ("planetscale", rf"pscale_(?:tkn|pw|oauth)_{_B64}{{32,64}}"),
    ("newrelic", r"NRAK-[A-Z0-9]{27}"),
    ("age", r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}"),
    ("jwt", rf"eyJ{_B64}{{13,2048}}+\.eyJ{_B64}{{8,8192}}+(?:\.{_B64}{{0,2048}}+)?"),
)

SECRETS: tuple[Pattern, ...] = (
    *(Pattern("SECRET", f"secret.{name}", rf"{START}{regex}(?!{_B64})") for name, regex in _PREFIXED),
    Pattern(
        "SECRET",
        "secret.pem",
        r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----[A-Za-z0-9+/=\r\n \t:,.\-\\]{0,16384}?"
        r"(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|(?![A-Za-z0-9+/=\r\n \t:,.\-\\]))",
    ),
    Pattern("SECRET", "secret.hash", r"\$(?:2[abxy]|argon2(?:id|i|d)|5|6|y|scrypt)\$[A-Za-z0-9./$=,+\-]{20,255}"),
    Pattern(
        "SECRET",
        "secret.bearer",
        rf"(?i){START}(?:bearer|basic)[ :]{{1,3}}(?P<v>[A-Za-z0-9+/=_.~\-]{{16,2048}})",
        RANDOM,
    ),
    Pattern(
        "SECRET",
        "secret.assigned",
        rf"(?i)(?<![^\W_]){_NAMES}[\"'`]?[ \t]{{0,3}}(?:=>|:=|[:=])[ \t]{{0,3}}[\"'`]?(?P<v>[^\x00-\x20\"'`,;<>()\[\]{{}}]{{6,512}})",
    ),
    Pattern(
        "SECRET",
        "secret.said",
        rf"(?i)(?<![^\W_]){_NAMES}[\"'`]? (?:is|was|to|ist|es|est) (?:now )?[\"'`]?(?P<v>(?=[^\x00-\x20]{{0,64}}[0-9!@#$%^&*])[^\x00-\x20\"'`,;<>]{{6,256}})",
    ),
    Pattern(
        "SECRET",
        "secret.random",
        r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{24,512}={0,2}(?![A-Za-z0-9+/_=\-])",
        RANDOM,
        Tier.STRICT,
    ),
    Pattern("CRYPTO", "btc", rf"{START}(?:[13][1-9A-HJ-NP-Za-km-z]{{25,34}}|(?i:bc1[02-9ac-hj-np-z]{{11,71}})){END}", BITCOIN),
    Pattern("CRYPTO", "eth", rf"(?i){START}0x[0-9a-f]{{40}}{END}"),
    Pattern(
        "CRYPTO",
        "other",
        rf"{START}(?:4[0-9AB][1-9A-HJ-NP-Za-km-z]{{93}}|(?:ltc1|addr1|cosmos1|bnb1)[02-9ac-hj-np-z]{{20,110}}|"
        rf"[LMD][1-9A-HJ-NP-Za-km-z]{{33}}|r[1-9A-HJ-NP-Za-km-z]{{27,34}}|T[1-9A-HJ-NP-Za-km-z]{{33}}){END}",
        RANDOM,
    ),
)

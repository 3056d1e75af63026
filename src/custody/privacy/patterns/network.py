"""E-mail, web and machine addresses."""

from custody.privacy.patterns.checks import IP4, IP6
from custody.privacy.patterns.pattern import Pattern
from custody.privacy.patterns.shapes import END, START

_LOCAL = r"[\w.%+'\u2019&~!#$*=\-]"
_HOST_AT = r"(?:[^\W_][\w\-]{0,62}[.\u3002\uff0e])+(?:xn--[a-z0-9\-]{2,59}|[^\W\d_]{2,24})"
_PATH = r"[^ \t\r\n\"<>\u00a0\u2028\u3000]"
# top-level domains that are not also words, endings of files or attributes in code; with a scheme or `www.` every other one is found too
TOP = (
    "com|org|net|edu|gov|mil|int|info|biz|mobi|museum|aero|coop|app|dev|cloud|online|site|tech|blog|xyz|club|agency|company|solutions|"
    "io|ai|co|tv|uk|de|fr|es|nl|ch|se|dk|fi|pt|ie|cz|sk|hu|ro|bg|gr|hr|si|ee|lt|lv|lu|eu|ua|ru|tr|il|ca|mx|br|ar|cl|pe|uy|au|nz|jp|kr|"
    "cn|hk|tw|sg|th|vn|ph|za|ng|ke|eg|ae|sa|ir|pk|lk|li|mc|ge|az|kz|ba|al|mk|mt|cy"
)
_HEX = "[0-9A-Fa-f]"
_OCTET = r"\d{1,3}"
_QUAD = rf"{_OCTET}(?:\.{_OCTET}){{3}}"

NETWORK: tuple[Pattern, ...] = (
    Pattern(
        "EMAIL",
        "email.plain",
        rf"(?i)(?<!{_LOCAL})[.%+'\u2019&~!#$*=\-]*+(?P<v>\w{_LOCAL}*+[@\uff20](?:\[(?:IPv6:)?[0-9a-f.:]{{3,45}}\]|{_HOST_AT}))",
    ),
    Pattern(
        "EMAIL",
        "email.quoted",
        rf"(?i)\"[^\"\r\n@]{{1,64}}\"@{_HOST_AT}",
    ),
    Pattern(
        "EMAIL",
        "email.spelled",
        rf"(?i)(?<!{_LOCAL})\w{_LOCAL}*+ ?[\[({{] ?(?:at|@) ?[\])}}] ?[^\W_][\w\-]{{0,62}}"
        r"(?: ?[\[({] ?(?:dot|\.) ?[\])}] ?[^\W_][\w\-]{0,62}|\.[^\W_][\w\-]{0,62}){1,4}+",
    ),
    Pattern(
        "URL_CREDENTIALS",
        "url.credentials",
        rf"(?i){START}[a-z][a-z0-9+.\-]{{1,20}}+://[^ \t\r\n/@\"<>:]{{0,256}}+:[^ \t\r\n/\"<>@]{{1,256}}+@{_PATH}++",
    ),
    Pattern("URL", "url.scheme", rf"(?i){START}[a-z][a-z0-9+.\-]{{1,20}}+://{_PATH}++"),
    Pattern("URL", "url.www", rf"(?i){START}www\d?\.{_PATH}++"),
    Pattern(
        "URL",
        "url.host",
        rf"(?i)(?<![\w@.\-/])(?:[^\W_][\w\-]{{0,62}}\.){{1,8}}(?:{TOP})(?![\w\-@]|\.\w)(?::\d{{1,5}})?(?:[/?#]{_PATH}*+)?",
    ),
    Pattern("URL", "url.file", rf"(?i)(?<![\w@.\-/])(?:[^\W_][\w\-]{{0,62}}\.){{1,8}}[a-z]{{2,24}}(?::\d{{1,5}})?/{_PATH}++"),
    Pattern(
        "USER_PATH",
        "path.home",
        r"(?i)(?<![\w/])(?:/(?:home|users)/|[a-z]:(?:\\{1,2}|/)(?:users|documents and settings)(?:\\{1,2}|/))(?P<v>[^/\\ \t\r\n:\"'<>|]{1,64})",
    ),
    Pattern("IP_ADDRESS", "ip.v4", rf"(?<![\w.]){_QUAD}(?:/\d{{1,2}})?(?![^\W_]|\.\d)", IP4),
    Pattern(
        "IP_ADDRESS",
        "ip.v6",
        rf"(?<![\w:])(?=[0-9A-Fa-f:]{{0,4}}:)(?:{_HEX}{{0,4}}:){{2,8}}(?:{_QUAD}|{_HEX}{{0,4}})(?:%\w{{1,16}})?(?:/\d{{1,3}})?(?![\w:])",
        IP6,
    ),
    Pattern(
        "MAC_ADDRESS",
        "mac.pairs",
        rf"{START}{_HEX}{{2}}([:\-]){_HEX}{{2}}(?:\1{_HEX}{{2}}){{4}}(?:(?:\1{_HEX}{{2}}){{2}})?{END}",
    ),
    Pattern("MAC_ADDRESS", "mac.dotted", rf"{START}{_HEX}{{4}}\.{_HEX}{{4}}\.{_HEX}{{4}}{END}"),
    Pattern("UUID", "uuid", rf"{START}{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}{END}"),
)

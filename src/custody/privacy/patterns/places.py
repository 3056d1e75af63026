"""Postal addresses by the street words of about twenty languages, postcodes, and titles before names."""

import re

from custody.privacy.patterns.pattern import Pattern, Tier
from custody.privacy.patterns.shapes import CAPITAL, END, START

_NUMBER = r"\d{1,6}(?:[\-/]\d{1,5})?(?: ?[A-Za-z](?![^\W_]))?"
_WORD = r"[^\W\d_][\w.'\u2019\-]{0,30}"
_SIMPLE = r"[^\W\d_][\w.]{0,30}"
_CAP = rf"(?:{CAPITAL}[\w.'\u2019\-]{{0,30}})"
_NAME = rf"(?:{_WORD}|\d{{1,4}}(?:st|nd|rd|th))"
STREETS = (
    "street",
    "avenue",
    "ave",
    "road",
    "rd",
    "boulevard",
    "blvd",
    "lane",
    "terrace",
    "parkway",
    "pkwy",
    "crescent",
    "highway",
    "hwy",
)  # these in any case
_ENGLISH = (  # these with a capital only: their small forms are ordinary words
    "Street|St|Avenue|Ave|Av|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Dr|Court|Ct|Place|Pl|Terrace|Ter|Way|Parkway|Pkwy|Circle|Cir|Square|"
    "Sq|Trail|Trl|Highway|Hwy|Close|Crescent|Cres|Gardens?|Grove|Mews|Row|Walk|Alley|Loop|Plaza|Points?|Pointe|Ridges?|Route|Run|View|"
    "Views|Vista|Esplanade|Parade|Pike|Turnpike|Expressway|Freeway|Motorway|Bypass|Causeway|Crossing|Junctions?|Greens?|Hills?|Mount|"
    "Mountains?|Meadows?|Heights|Estates?|Springs?|Shores?|Ports?|Harbors?|Islands?|Isle|Knolls?|Lodge|Manors?|Mall|Mills?|Mission|Neck|"
    "Orchard|Oval|Overpass|Pass|Passage|Path|Pines?|Plains?|Prairie|Radial|Ranch|Rapids?|Rest|River|Roads|Rue|Shoals?|Skyway|Spurs?|"
    "Station|Stravenue|Stream|Summit|Throughway|Trace|Track|Trafficway|Tunnel|Underpass|Unions?|Valleys?|Via|Viaduct|Villages?|Ville|"
    "Wells?|Walks|Wall|Ways|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Camp|Canyon|Cape|Centers?|Circles|Cliffs?|Club|Common|"
    "Commons|Corners?|Course|Courts|Coves?|Creek|Crest|Crossroads?|Curve|Dale|Dam|Divide|Drives|Extensions?|Falls?|Ferry|Fields?|Flats?|"
    "Fords?|Forest|Forges?|Forks?|Fort|Freeway|Gateway|Glens?|Groves|Haven|Hollow|Inlet|Keys?|Lakes?|Landing|Lights?|Loaf|Locks?|Lanes"
)
_UNIT = r"(?:[, ]{1,3}(?:(?i:apt|apartment|suite|ste|unit|floor|fl|flat|room|rm|bldg|building)\.?|#) ?#?[\w\-]{1,6})?"
_TAIL = rf"(?:,?[ \r\n]{{1,3}}{_CAP}(?: {_CAP}){{0,3}},? {{1,2}}[A-Z]{{2}} {{1,2}}\d{{5}}(?:-\d{{4}})?)?"
SUFFIXES = (  # grown together with the name: Hauptstraße, Kerkstraat, Storgatan, Mannerheimintie
    "strasse", "straße", "strassen", "straßen", "str.", "weg", "gasse", "allee", "platz", "ring", "damm", "ufer", "steig", "straat", "laan", "plein",
    "gracht", "kade", "dijk", "singel", "gatan", "gata", "vägen", "väg", "gate", "gaten", "veien", "vei", "vej", "gade", "alle",
    "stræde", "katu", "tie", "polku",
)  # fmt: skip
AFTER = (  # stands between the name and the number
    "utca", "út", "tér", "körút", "caddesi", "cad.", "sokak", "sokağı", "sok.", "bulvarı", "street", "road", "tänav", "maantee",
    "gatvė", "iela", "prospektas",
)  # fmt: skip
BEFORE = (  # stands before the name, and is no word of English
    "rue", "impasse", "chemin", "allée", "calle", "c/", "avenida", "avda", "paseo", "carrera", "travesía", "viale", "piazza", "corso", "vicolo", "rua", "travessa", "praça", "alameda", "estrada", "rodovia", "ul.", "ulica", "ulice", "aleja", "nám.", "náměstí", "třída", "bulevardul", "calea", "şoseaua", "aleea", "ulitsa", "ул.", "улица", "пр.", "проспект", "переулок", "вул.", "вулиця", "бул.", "οδός", "λεωφόρος", "jalan", "jl.", "jln.", "đường", "phố", "carrer",
)  # fmt: skip
_BEFORE = rf"(?:{'|'.join(map(re.escape, BEFORE))})\.?"
BEFORE_CAPITAL = (  # the same, but also a word of another meaning: a capital must follow
    r"(?:Via|Place|Plaza|Avenue|Av\.|Boulevard|Bd|Quai|Cours|Route d[eu]|Camino|Ronda|Largo|[Ss]trada|[Ss]tr\.|[Aa]l\.|[Oo]s\.|[Pp]lac|"
    r"Cra\.?|Am|Im|An der|Auf der|Zum|Zur|Unter den|Straße)"
)
_SMALL = r"(?:(?:de|del|della|delle|dei|degli|di|da|do|dos|das|du|des|la|las|los|le|les|el|l'|l\u2019|d'|d\u2019|y|e|i|św\.|gen\.) ?){0,3}"
_HAN = r"[\u3005\u3041-\u30ff\u4e00-\u9fff]"
_TITLES = (
    "mr|mrs|ms|miss|mx|dr|prof|professor|doctor|sir|madam|lady|lord|dame|rev|reverend|father|sister|hon|judge|capt|captain|col|"
    "colonel|gen|general|lt|lieutenant|sgt|sergeant|maj|major|herr|frau|monsieur|madame|mademoiselle|mme|mlle|señor|señora|señorita|"
    "sr|sra|srta|signor|signora|sig|dott|dottoressa|senhor|senhora|dona|dhr|mevr|meneer|mevrouw|pan|pani|hr|fru"
)
_ADDRESSED = (
    "address", "addresses", "street", "live", "lives", "living", "mail", "ship", "deliver", "zip", "zipcode", "postcode", "postal", "plz", "cp", "cap",
    "city", "town", "adresse", "anschrift", "dirección", "indirizzo", "endereço", "adres", "located", "residence", "resident",
    "road", "avenue", "rd", "ave", "st", "str", "straße", "rue", "calle", "via", "rua", "lane", "drive", "apt", "suite", "flat",
)  # fmt: skip
_STATES = (
    "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|RI|SC|SD|TN|"
    "TX|UT|VT|VA|WA|WV|WI|WY|PR|GU|VI|AS|MP|AA|AE|AP"
)
_UK = r"(?:GIR ?0AA|[A-PR-UWYZ](?:\d{1,2}|[A-HK-Y]\d|[A-HK-Y]\d\d|\d[A-HJKPSTUW]|[A-HK-Y]\d[ABEHMNPRV-Y]) ?\d[ABD-HJLNP-UW-Z]{2})"
_CA = r"[ABCEGHJ-NPRSTVXY]\d[ABCEGHJ-NPRSTV-Z][ -]?\d[ABCEGHJ-NPRSTV-Z]\d"

PLACES: tuple[Pattern, ...] = (
    Pattern("ADDRESS", "address.street", rf"(?i)(?<![\w.]){_NUMBER},? (?:{_NAME} ){{1,4}}(?:{'|'.join(STREETS)})(?!\w)\.?{_UNIT}"),
    Pattern("ADDRESS", "address.english", rf"(?<![\w.]){_NUMBER},? (?:(?:[NSEW]{{1,2}}|North|South|East|West)\.? )?(?:(?:{_CAP}|\d{{1,4}}(?:st|nd|rd|th)) ){{1,4}}(?:{_ENGLISH})(?!\w)\.?{_UNIT}{_TAIL}"),
    Pattern("ADDRESS", "address.grown", rf"(?i)(?<![\w\-])(?:{_SIMPLE} ){{0,2}}[^\W\d_][\w\-]{{1,30}}(?:{'|'.join(map(re.escape, SUFFIXES))}),? {{1,2}}{_NUMBER}(?!\w)(?:,? \d{{4,5}} {_WORD})?"),
    Pattern("ADDRESS", "address.after", rf"(?i){START}(?:{_WORD} ){{1,3}}(?:{'|'.join(map(re.escape, AFTER))}),? {{1,2}}(?:no[.:]? ?)?{_NUMBER}(?!\w)"),
    Pattern("ADDRESS", "address.before", rf"(?i){START}{_BEFORE} ?(?:{_WORD} ){{0,5}}{_WORD},? {{0,2}}(?:n[.ºo°]{{0,2}} ?)?{_NUMBER}(?!\w)(?:,? \d{{4,6}} {_WORD})?"),
    Pattern("ADDRESS", "address.capital", rf"{START}{BEFORE_CAPITAL} {_SMALL}{_CAP}(?: {_SMALL}{_CAP}){{0,3}},? {{0,2}}(?:n[.ºo°]{{0,2}} ?)?{_NUMBER}(?!\w)(?:,? \d{{4,6}} {_WORD})?"),
    Pattern("ADDRESS", "address.first", rf"(?i)(?<![\w.])\d{{1,5}}(?: ?(?:bis|ter|quater|[a-d]))?,? {{1,2}}{_BEFORE} {_SMALL}{_WORD}(?:[ \-]{_SMALL}{_WORD}){{0,3}}"),
    Pattern("ADDRESS", "address.first_capital", rf"(?<![\w.])\d{{1,5}}(?: ?(?:bis|ter|quater|[a-d]))?,? {{1,2}}(?:{BEFORE_CAPITAL}|avenue|av\.|boulevard|bd|place|quai|cours|route) {_SMALL}{_CAP}(?:[ \-]{_SMALL}{_CAP}){{0,3}}"),
    Pattern("ADDRESS", "address.box", rf"(?i){START}(?:p\.? ?o\.? ?box|post office box|postfach|bo[iî]te postale|b\.?p\.|apartado(?: de correos)?|caixa postal|casella postale|postbus) {{0,2}}(?:no\.? ?|#)?\d{{1,7}}(?!\w)"),
    Pattern("ADDRESS", "address.military", rf"(?i){START}(?:psc|unit|cmr) \d{{1,5}},? (?:box|apo|fpo|dpo)(?: \w{{1,6}}){{0,3}}"),
    Pattern("ADDRESS", "address.unit", rf"(?i){START}(?:apt|apartment|suite|ste)\.? ?#?(?:\d{{1,5}}[A-Z]?|[A-Z]\d{{1,4}})(?!\w|\.\d)"),
    Pattern("ADDRESS", "address.japanese", rf"{_HAN}{{1,8}}[都道府県市区町村](?:{_HAN}|\d){{1,20}}?\d{{1,4}}(?:[-\u2212\uff0d番]\d{{1,4}}){{1,3}}号?|〒\d{{3}}-?\d{{4}}"),
    Pattern("ADDRESS", "address.chinese", rf"{_HAN}{{2,8}}[路街道巷]\d{{1,5}}[号號弄]"),
    Pattern("POSTCODE", "postcode.us", rf"(?<![\w]),? ?(?P<v>(?:{_STATES})[ ,]{{1,2}}\d{{5}}(?:-\d{{4}})?)(?![\w]|-\d)"),
    Pattern("POSTCODE", "postcode.zip4", r"(?<![\w.\-])\d{5}-\d{4}(?![\w\-])"),
    Pattern("POSTCODE", "postcode.five", r"(?<![\w.,$€£#\-/])\d{4,6}(?![\w%\-/]|[.,:]\d)", context=("zip", "zipcode", "zip code", "postcode", "postal code", "post code", "plz", "postleitzahl", "code postal", "código postal", "codice postale", "cep", "postnummer", "postinumero", "kod pocztowy", "индекс"), asks=True),
    Pattern("POSTCODE", "postcode.five_any", r"(?<![\w.,$€£#\-/])\d{5}(?![\w%\-/]|[.,:]\d)", tier=Tier.STRICT),
    Pattern("POSTCODE", "postcode.uk", rf"{START}{_UK}{END}"),
    Pattern("POSTCODE", "postcode.uk_lower", rf"(?i){START}{_UK}{END}", context=_ADDRESSED),
    Pattern("POSTCODE", "postcode.ca", rf"{START}{_CA}{END}", context=_ADDRESSED),
    Pattern("POSTCODE", "postcode.ca_any", rf"(?i){START}{_CA}{END}", tier=Tier.STRICT),
    Pattern("POSTCODE", "postcode.nl", rf"(?<![\w\-])[1-9]\d{{3}} ?[A-Z]{{2}}{END}", context=_ADDRESSED),
    Pattern("TITLE", "title", rf"(?i){START}(?:{_TITLES})(?:\.(?: (?:{_TITLES})\.?){{0,2}}|(?= [^\W\d_a-z]))(?: [A-Z][\w'\u2019\-]{{1,30}}){{0,3}}", tier=Tier.STRICT),
)  # fmt: skip

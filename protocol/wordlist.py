"""The 256 words that stand for the 256 bytes when a hash is read aloud; never changed, never reordered.

Names of things and places that are much the same in English, Spanish, Portuguese and French. Each has
four to eight letters of ASCII, is known by its first four, and differs from every other in at least
three letters; none could be taken for hexadecimal digits.
"""

from __future__ import annotations

_TEXT = """
acrobat adagio admiral agenda album alfa algebra alibi
almanac alpaca amazona amigo animal apollo arcade aroma
atlas auto avocado ballet banana barco baton batuta
berlin biceps bistro bolero bonbon bonsai botanic bouquet
bravo brocoli bronze buffet cabina cable cacao caiman
camera campus caramel carbon cereal chalet ciclon cinema
cipres cobalto colibri comedia concert condor confeti cosmos
cowboy coyote cristal cupula curry danubio decibel delfin
delta denim derby desert detalle digital dinamo diploma
disco domino dragon eclipse editor elixir emblema energia
epilogo everest fabrica familia fauna flan flora fondue
forum fractal futbol galaxia garage gaucho gazela geneva
gigante girafa glaciar global golf gondola gorila guitar
hamaca hangar helio hobby hockey horizon hotel humor
iceberg icono iguana indigo ivory jade jaguar jasmin
jersey joker jumbo jungla jupiter kappa karaoke kayak
kebab kilo koala kyoto lagoon laser laurel leopard
lexico limon lisboa logo londres lotus madrid magia
maleta marmol medusa melon metro mimosa mineral minuto
modem mosaico motor museo narciso nebula nectar neptuno
oceano octopus olimpo oliva omnibus onix opera optimo
orange orbita origami oscar pagoda papaya papiro paprika
paris parque pasta pelican petalo petunia piano piccolo
pijama piramide pixel pizza planeta platino polka poncho
praga pronto puzzle python quasar quetzal quinoa radio
regata ricota ritmo robot romeo rugby safari salmon
samba samurai sardina saturno sensor sigma soda sonata
soprano stadium studio suite surf sushi tambor tango
taxi tempo theta tigre timbal titanio tokio tomato
tractor tuba tulipan tundra tunel turbina vanilla vapor
venus verona victor video village violin vision volcano
yogurt zebra zigzag zinc zinnia zodiac zorro zulu
"""

WORDS: tuple[str, ...] = tuple(_TEXT.split())
"""The word of each byte."""

"""Who plays in the demonstration, and what they say. States, people and incident are invented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HUB = "HUB"
COMMUNITY = "Comunidad de demostración"
HUB_NAME = "Coordinator of the demonstration"
CUSTODIANS, THRESHOLD = 3, 2


@dataclass(frozen=True, slots=True)
class State:
    """A fictitious member: its code, its name, its severity schema and its duty officer."""

    code: str
    name: str
    schema: str
    officer: str

    @property
    def folder(self) -> str:
        """The name of its node's data directory: short, because a socket's path must be."""
        return self.code.lower()


XAA = State("XAA", "Aurelia", "xaa-national", "Inés Robledo")
XBB = State("XBB", "Borealis", "xbb-national", "Dana Whitlock")
XCC = State("XCC", "Celestia", "xcc-national", "Julien Marchetti")
STATES = (XAA, XBB, XCC)


@dataclass(frozen=True, slots=True)
class Script:
    """What one notice says."""

    kind: Literal["report", "update"]
    severity: str
    tlp: str
    language: str
    subject: str
    text: str


REPORT = Script(
    kind="report",
    severity="xaa-national@1:grave",
    tlp="amber",
    language="es",
    subject="Ransomware en una distribuidora eléctrica, con efectos al otro lado de la frontera",
    text="""\
# Resumen

A las 01:40 UTC, Eléctrica del Alba (distribuidora nacional, 1,2 millones de clientes) detectó el cifrado de
servidores de su red de oficina y de dos estaciones de ingeniería de su centro de control. El suministro se
mantiene; la operación remota de 14 subestaciones se ha pasado a manual como precaución.

# Por qué les escribimos

- El enlace de telecontrol de la interconexión Alba-Norte se comparte con la distribuidora de XBB.
- El proveedor de mantenimiento remoto por el que entró el atacante también da servicio en XCC.

# Qué sabemos

- Acceso inicial: credenciales robadas de la VPN del proveedor, sin segundo factor, hace unos nueve días.
- El atacante usa un dominio de mando y control y un binario propio de cifrado: véase el paquete STIX adjunto.
- No hay indicios de que se hayan enviado órdenes a equipos de campo.

# Qué pedimos

1. Buscar los indicadores adjuntos en sus redes eléctricas y en las del proveedor.
2. Confirmar si el enlace de telecontrol compartido presenta accesos desde el 13 de noviembre.
3. No contactar con el proveedor antes de las 12:00 UTC: hay una intervención policial en curso.
""",
)

UPDATE = Script(
    kind="update",
    severity="xaa-national@1:critico",
    tlp="amber",
    language="es",
    subject="Actualización: el atacante alcanzó el telecontrol; nuevos indicadores",
    text="""\
# Qué ha cambiado

- A las 03:05 UTC se encontraron sesiones del atacante en el servidor de telecontrol de la interconexión
  Alba-Norte. El enlace está cortado por nuestro lado desde las 03:11 UTC.
- El mismo dominio de mando y control aparece en los registros del proveedor para un cliente en XCC.

# Qué pedimos

1. Cortar también por su lado el enlace de telecontrol y operar la interconexión por teléfono.
2. Bloquear el dominio y conservar los registros del proveedor de los últimos treinta días.
""",
)

XBB_ACCEPTS = (
    "We own this on our side. Grid operator informed at board level; the shared link shows two logins on "
    "19 November from the contractor's address. Call me on the duty line, extension 41."
)
XBB_ACCEPTS_UPDATE = "Link cut on our side; the interconnector is run by telephone from now on."
XCC_DECLINES_REASON = "not-affected"
XCC_ACCEPTS_UPDATE = "We were wrong: the contractor's client here is a water utility. We are on it."

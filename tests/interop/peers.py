"""The peers that are known, in the order in which they run."""
from bouncy import Bouncy
from direct import DirectAgent
from gnupg import Gpgsm
from nss import Nss
from node import Forge, Pkijs
from openssl import OpenSsl
from pyca import Cryptography
from snail import Snail

PEERS = {
    "openssl": OpenSsl,
    "gpgsm": Gpgsm,
    "nss": Nss,
    "cryptography": Cryptography,
    "bouncycastle": Bouncy,
    "direct-agent": DirectAgent,
    "node-forge": Forge,
    "pkijs": Pkijs,
    "s-nail": Snail,
}

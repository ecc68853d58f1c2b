"""The undo of key material that is gone: the same material is imported again.

In the journal it is wrapped under KMS' public key. KMS takes it for 24 hours, by an import token.
"""

from __future__ import annotations

import base64

from chaosaws_kms_ext.aws.key_material import DOES_NOT_EXPIRE, KeyMaterial, Wrapped
from chaosaws_kms_ext.undo.undo import Call, Undo

__all__ = ["undo_of"]


def undo_of(material: KeyMaterial, wrapped: Wrapped) -> Undo:
    """Imports `wrapped`, which is of this material, without an expiry."""
    blobs = {name: base64.b64encode(blob).decode() for name, blob in wrapped.params.items()}
    params = {**material.named, "ExpirationModel": DOES_NOT_EXPIRE, **blobs}
    return Undo((Call("kms", "ImportKeyMaterial", params),), wrapped.until)

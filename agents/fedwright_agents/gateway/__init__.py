"""The model gateway: the one process between minds and model providers.

It alone holds keys. A mind gets its URL and a signed allowance; each call is checked, reserved in the ledger, asked of the
provider, settled, written down and answered. The same process answers from recordings with no network at all.
"""

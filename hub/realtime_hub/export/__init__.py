"""Security events for receivers elsewhere: OpenID CAEP as signed SETs, by push and by poll."""

"""What kern promises, held against every change of the store and every call of a tool or model."""

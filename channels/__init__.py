"""How a theme reaches people: the delivery engine, and one package per channel with one module per provider."""

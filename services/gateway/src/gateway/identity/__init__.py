"""How the gateway knows who asks: passwords, login tokens, API keys, and what it remembers of them."""

"""What a service needs of the outside, as protocols; the adapters stand in rooms of their own."""

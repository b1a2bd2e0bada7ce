"""How a model learns and is judged: plain torch and NumPy that have not heard of Ray."""

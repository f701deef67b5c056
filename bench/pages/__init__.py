"""Records -> pages: tables, figures and the words around them. No torch."""

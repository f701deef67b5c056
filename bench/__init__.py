"""How variants are compared: data, training, honest measurement, records, tables and plots."""

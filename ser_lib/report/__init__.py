"""From notebooks to one HTML file; `notebook` is what notebooks import to show things."""

"""A page as one HTML file that needs nothing beside it: no network, no script from elsewhere, pictures inside.

`render` turns blocks into HTML, `document` puts a page around it.
"""

"""Where in a network the digits are lost: significant digits after every block."""

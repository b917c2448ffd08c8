"""Boxes and the one crop that training and tracking share."""

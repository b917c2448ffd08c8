"""Everything that draws: boxes on images, sheets, videos, plots, the HTML report."""

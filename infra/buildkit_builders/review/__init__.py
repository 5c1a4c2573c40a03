"""What a review of claims needs: a plan as Markdown, and the comment or issue of a code host that shows it."""

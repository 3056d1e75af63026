"""Dataset versions: where rows came from, under what terms, how they were split; never models or storage."""

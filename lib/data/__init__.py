"""What a video is, where its bytes come from, who reads each dataset, and the synthetic world."""

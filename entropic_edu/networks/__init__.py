"""Any ``nn.Module`` with its data as a landscape, fast and exact."""

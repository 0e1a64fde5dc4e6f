printf "Grüße, 世界 🌍"

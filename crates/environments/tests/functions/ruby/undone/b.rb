raise LoadError, 'b is not ready'

A page
